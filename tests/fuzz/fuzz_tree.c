#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "gitobject/dotname.h"
#include "gitobject/tree_order.h"

/* More would make the comparison below slow. */
#define ENTRIES_MAX 64

static bool is_there(const struct tree_entry *entries, size_t count,
		     const struct tree_entry *entry)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(entries[i].name, entry->name) == 0)
			return true;
	return false;
}

/* As long as the order was right, a name that is there twice is found, and nothing else is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(tree_order_done) struct tree_order order = { 0 };
	struct tree_reader reader = tree_reader(data, size);
	struct tree_entry entries[ENTRIES_MAX];
	bool sorted = true;

	for (size_t count = 0; count < ENTRIES_MAX; count++) {
		int placed;

		if (tree_next(&reader, &entries[count]) <= 0)
			break;
		assert(strlen(entries[count].name) == entries[count].name_size);
		assert((const uint8_t *)entries[count].name + entries[count].name_size <
		       data + size);
		(void)dotname_is_git(entries[count].name);
		(void)dotname_is_gitmodules(entries[count].name);
		placed = tree_order_add(&order, &entries[count]);
		if (placed < 0)
			return 0;
		sorted = sorted && !(placed & TREE_ORDER_UNSORTED);
		if (sorted)
			assert(is_there(entries, count, &entries[count]) ==
			       ((placed & TREE_ORDER_DUPLICATE) != 0));
	}
	return 0;
}

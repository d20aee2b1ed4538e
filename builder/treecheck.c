/*
 * The tree as the pusher sent it: nothing about it is believed. Everything here is about bytes in
 * memory; no file is touched.
 */

#include "builder/treecheck.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "gitobject/dotname.h"
#include "gitobject/tree_order.h"

static const char *name_fault(const char *name, size_t size)
{
	if (size > NAME_MAX)
		return "a name longer than 255 bytes";
	if (str_equal(name, ".") || str_equal(name, ".."))
		return "the name \".\" or \"..\"";
	if (memchr(name, '/', size))
		return "a name with a slash";
	if (dotname_is_git(name))
		return "a name that stands for \".git\"";
	return NULL;
}

static bool kind_of_mode(uint32_t mode, enum tree_kind *ret_kind)
{
	switch (mode) {
	case TREE_MODE_FILE:
	case 0100664: /* written by git before 2005-05; some histories begin then */
		*ret_kind = TREE_KIND_FILE;
		return true;
	case TREE_MODE_PROGRAM:
		*ret_kind = TREE_KIND_EXECUTABLE;
		return true;
	case TREE_MODE_SYMLINK:
		*ret_kind = TREE_KIND_LINK;
		return true;
	case TREE_MODE_DIRECTORY:
		*ret_kind = TREE_KIND_DIRECTORY;
		return true;
	case TREE_MODE_GITLINK:
		*ret_kind = TREE_KIND_SUBMODULE;
		return true;
	default:
		return false;
	}
}

static const char *order_fault(int placed)
{
	if (placed & TREE_ORDER_DUPLICATE)
		return "the same name twice";
	return placed & TREE_ORDER_UNSORTED ? "entries out of order" : NULL;
}

/* Returns 0, -ENOMEM, or -EBADMSG with *fault. */
static int check_entry(struct tree_order *order, const struct tree_entry *entry,
		       struct checked_entry *ret_entry, struct tree_fault *fault)
{
	int placed = tree_order_add(order, entry);

	if (placed < 0)
		return placed;
	*ret_entry = (struct checked_entry){ .name = entry->name,
					     .name_size = entry->name_size,
					     .oid = entry->oid };
	fault->name = entry->name;
	fault->why = name_fault(entry->name, entry->name_size);
	if (!fault->why && !kind_of_mode(entry->mode, &ret_entry->kind))
		fault->why = "a file mode that git does not know";
	if (!fault->why)
		fault->why = order_fault(placed);
	return fault->why ? -EBADMSG : 0;
}

int tree_check(const void *data, size_t size, struct checked_entry **ret_entries,
	       size_t *ret_count, struct tree_fault *ret_fault)
{
	_cleanup_(tree_order_done) struct tree_order order = { 0 };
	_cleanup_free_ struct checked_entry *entries = NULL;
	struct tree_reader reader = tree_reader(data, size);
	size_t count = 0, allocated = 0;
	struct tree_entry entry;
	int r;

	while ((r = tree_next(&reader, &entry)) > 0) {
		if (count == allocated) {
			struct checked_entry *more;

			allocated = allocated ? allocated * 2 : 32;
			more = reallocarray(entries, allocated, sizeof(*entries));
			if (!more)
				return -ENOMEM;
			entries = more;
		}
		r = check_entry(&order, &entry, &entries[count++], ret_fault);
		if (r < 0)
			return r;
	}
	if (r < 0) {
		*ret_fault = (struct tree_fault){
			.why = "an entry without a name, cut short or malformed",
			.name = "",
		};
		return r;
	}
	*ret_entries = TAKE_PTR(entries);
	*ret_count = count;
	return 0;
}

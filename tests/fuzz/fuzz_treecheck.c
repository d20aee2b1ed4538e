#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "builder/treecheck.h"

/* What passes can be made as files: single components, each once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ struct checked_entry *entries = NULL;
	struct tree_fault fault = { 0 };
	size_t count = 0;

	if (tree_check(data, size, &entries, &count, &fault) < 0) {
		assert(fault.why);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		assert(entries[i].kind < _TREE_KIND_N);
		assert(strlen(entries[i].name) == entries[i].name_size);
		assert(!strchr(entries[i].name, '/') && entries[i].name[0]);
		for (size_t j = 0; j < i; j++)
			assert(strcmp(entries[i].name, entries[j].name) != 0);
	}
	return 0;
}

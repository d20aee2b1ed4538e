#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/macro.h"
#include "gitobject/tree.h"
#include "receiver/objcheck.h"

static void ignore(void *userdata, bool fatal _unused_, const git_oid *oid,
		   const char *id, const char *message)
{
	assert(oid && id && message);
	++*(int *)userdata;
}

/* The first byte chooses the kind; 4: a .gitmodules file. A tree that passes has links that can be read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const git_object_t types[] = { GIT_OBJECT_COMMIT, GIT_OBJECT_TREE,
					      GIT_OBJECT_BLOB, GIT_OBJECT_TAG };
	int reports = 0;
	struct objcheck check = { .report = ignore, .userdata = &reports };
	struct oidset links = { 0 };
	git_oid oid = { 0 };
	_cleanup_free_ char *copy = NULL;

	if (size == 0)
		return 0;
	copy = malloc(size); /* one byte behind the object, as its owners promise */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = '\0';
	if (data[0] % 5 == 4) {
		(void)objcheck_gitmodules(&check, &oid, GIT_OBJECT_BLOB, copy, size - 1);
	} else {
		git_object_t type = types[data[0] % 5];
		bool ok = objcheck_object(&check, &oid, type, copy, size - 1);
		int r = objcheck_links(type, copy, size - 1, true, &links);

		assert(ok || reports > 0);
		if (ok && type != GIT_OBJECT_TAG)
			assert(r == 0);
	}
	oidset_done(&links);
	objcheck_done(&check);
	return 0;
}

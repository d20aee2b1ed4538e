#include "tests/fuzz/fuzz.h"

#include <assert.h>

#include "base/str.h"
#include "protocol/name.h"

/* A name that passes holds nothing but the characters that paths, units and SQL may carry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *name = strndup((const char *)data, size);
	_cleanup_error_ struct error err = ERROR_INIT;

	if (!name)
		return 0;
	if (name_check_project(name, &err) == 0)
		assert(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
			       strlen(name) &&
		       name[0] != '-');
	else
		assert(error_is_set(&err) && err.code && err.suggestion);
	if (name_check_key(name, NULL) == 0)
		assert(!strchr(name, '/') && name[0] != '.');
	(void)name_is_release(name); /* any answer will do, it must not read too far */
	(void)name_is_oid(name);
	return 0;
}

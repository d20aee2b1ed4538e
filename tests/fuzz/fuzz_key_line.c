#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "command/key_line.h"
#include "protocol/request.h"

/* Whatever comes on standard input: a key that fits the request, or a reason that can be shown. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	int r = key_line_parse((const char *)data, size, &key, &err);

	if (r < 0) {
		assert(error_is_set(&err));
		assert(error_code(&err) && *error_text(&err, false));
		return 0;
	}
	assert(key.type && key.blob && key.comment);
	assert(key.blob_size > 0 && key.blob_size <= REQUEST_KEY_BLOB_MAX);
	assert(strlen(key.comment) <= REQUEST_TEXT_MAX);
	return 0;
}

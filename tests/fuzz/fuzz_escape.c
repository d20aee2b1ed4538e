#include "tests/fuzz/fuzz.h"

#include <assert.h>

#include "base/escape.h"

/* Whatever goes in, nothing comes out that a terminal would act on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	escape_append(&buf, data, size);
	assert(!strbuf_failed(&buf));
	for (size_t i = 0; i < buf.size; i++) {
		uint8_t c = (uint8_t)buf.data[i];

		assert(c == '\t' || (c >= 0x20 && c != 0x7f));
	}
	return 0;
}

#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

/* Read fields as the first byte of each round says; what was read is written again and must be the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t plan = size / 4; /* the first quarter says what to read from the rest */
	struct wire w = wire_reader(data + plan, size - plan);
	_cleanup_strbuf_ struct strbuf copy = { 0 };

	for (size_t i = 0; i < plan; i++) {
		switch (data[i] % 6) {
		case 0:
			wire_put_u8(&copy, wire_u8(&w));
			break;
		case 1:
			wire_put_u32(&copy, wire_u32(&w));
			break;
		case 2:
			wire_put_u64(&copy, wire_u64(&w));
			break;
		case 3:
			wire_put_bool(&copy, wire_bool(&w));
			break;
		case 4: {
			_cleanup_free_ char *s = wire_string(&w, data[i]);

			assert(s || w.failed);
			wire_put_string(&copy, s);
			break;
		}
		default: {
			size_t n;
			const uint8_t *p = wire_bytes(&w, data[i], &n);

			assert(n <= data[i] && (p || n == 0));
			wire_put_bytes(&copy, p ? p : data, n);
			break;
		}
		}
	}
	assert(w.at <= w.size);
	if (w.failed) {
		assert(wire_u64(&w) == 0 && wire_end(&w) < 0);
		return 0;
	}
	assert(!strbuf_failed(&copy) && copy.size == w.at);
	assert(w.at == 0 || memcmp(copy.data, data + plan, w.at) == 0);
	return 0;
}

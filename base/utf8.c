#include "base/utf8.h"

size_t utf8_next(const void *p, size_t size, uint32_t *ret_char)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *s = p;
	uint32_t c = s[0];
	size_t n = 1;

	if (c >= 0x80) {
		n = (c & 0xe0) == 0xc0   ? 2
		    : (c & 0xf0) == 0xe0 ? 3
		    : (c & 0xf8) == 0xf0 ? 4
					 : 0;
		if (n == 0 || n > size)
			return 0;
		c &= 0x7fu >> n;
		for (size_t i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3fu);
		}
		if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
	}
	if (ret_char)
		*ret_char = c;
	return n;
}

bool utf8_is_valid(const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size > 0) {
		size_t n = utf8_next(p, size, NULL);

		if (n == 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

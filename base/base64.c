#include "base/base64.h"

/* Returns 0..63, or -1. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four characters, of which the last `padding` are '='. */
static int decode_group(const char *text, size_t padding, struct strbuf *buf)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - padding ? digit_value(text[i]) : 0;

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
	}
	if (bits & ((1u << (8 * padding)) - 1))
		return -EINVAL;
	for (size_t i = 0; i < 3 - padding; i++)
		strbuf_char(buf, (char)(bits >> (16 - 8 * i)));
	return 0;
}

int base64_decode(const char *text, size_t size, struct strbuf *buf)
{
	if (size % 4 != 0)
		return -EINVAL;
	for (size_t at = 0; at < size; at += 4) {
		bool last = at + 4 == size;
		size_t padding = 0;
		int r;

		if (last && text[at + 3] == '=')
			padding = text[at + 2] == '=' ? 2 : 1;
		r = decode_group(text + at, padding, buf);
		if (r < 0)
			return r;
	}
	return 0;
}

#include "base/escape.h"

#include "base/utf8.h"

/* Does it move the cursor, change direction, or show nothing? */
static bool char_is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void escape_append(struct strbuf *buf, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size > 0) {
		uint32_t c = 0;
		size_t n = utf8_next(p, size, &c);

		if (n == 0)
			strbuf_format(buf, "\\x%02x", p[0]);
		else if (c == '\t' || !char_is_harmful(c))
			strbuf_append(buf, p, n);
		else if (c < 0x100)
			strbuf_format(buf, "\\x%02x", c);
		else
			strbuf_format(buf, "\\u{%x}", c);

		n = n ? n : 1;
		p += n;
		size -= n;
	}
}

char *escape_text(const char *s, size_t max_bytes)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	size_t size = strlen(s), shown = size;

	if (size > max_bytes) {
		shown = max_bytes;
		/* not through the middle of a character: at most three bytes follow its first */
		for (int i = 0; i < 3 && shown > 0 && ((uint8_t)s[shown] & 0xc0) == 0x80;
		     i++)
			shown--;
	}
	escape_append(&buf, s, shown);
	if (size > max_bytes)
		strbuf_str(&buf, "...");
	return strbuf_steal(&buf);
}

#include "base/str.h"

#include <stdio.h>

char *str_vformat(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		return NULL;
	return s;
}

char *str_format(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = str_vformat(fmt, ap);
	va_end(ap);
	return s;
}

const char *str_after_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && str_equal(s + n - m, suffix);
}

int str_to_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (*s == '\0')
		return -EINVAL;

	for (; *s; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (value > (max - digit) / 10 || digit > max)
			return -ERANGE;
		value = value * 10 + digit;
	}

	*ret_value = value;
	return 0;
}

void strbuf_done(struct strbuf *buf)
{
	free(buf->data);
	*buf = (struct strbuf){ 0 };
}

void strbuf_done_secret(struct strbuf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->allocated);
	strbuf_done(buf);
}

static bool strbuf_reserve(struct strbuf *buf, size_t extra)
{
	size_t want, allocated = buf->allocated ? buf->allocated : 128;
	char *data;

	if (buf->failed)
		return false;
	if (__builtin_add_overflow(buf->size, extra, &want) ||
	    __builtin_add_overflow(want, 1, &want) || want > SIZE_MAX / 2) {
		buf->failed = true;
		return false;
	}
	if (want <= buf->allocated)
		return true;

	while (allocated < want)
		allocated *= 2;
	data = realloc(buf->data, allocated);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->allocated = allocated;
	return true;
}

void strbuf_append(struct strbuf *buf, const void *data, size_t size)
{
	if (!strbuf_reserve(buf, size))
		return;
	if (size > 0)
		memcpy(buf->data + buf->size, data, size);
	buf->size += size;
	buf->data[buf->size] = '\0';
}

void strbuf_str(struct strbuf *buf, const char *s)
{
	strbuf_append(buf, s, strlen(s));
}

void strbuf_char(struct strbuf *buf, char c)
{
	strbuf_append(buf, &c, 1);
}

void strbuf_format(struct strbuf *buf, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = str_vformat(fmt, ap);
	va_end(ap);
	if (!s) {
		buf->failed = true;
		return;
	}
	strbuf_str(buf, s);
}

void strbuf_consume(struct strbuf *buf, size_t size)
{
	if (size >= buf->size) {
		strbuf_clear(buf);
		return;
	}
	memmove(buf->data, buf->data + size, buf->size - size + 1);
	buf->size -= size;
}

void strbuf_clear(struct strbuf *buf)
{
	buf->size = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

char *strbuf_steal(struct strbuf *buf)
{
	char *data;

	strbuf_append(buf, "", 0); /* an empty buffer yields "", not NULL */
	if (buf->failed) {
		strbuf_done(buf);
		return NULL;
	}
	data = TAKE_PTR(buf->data);
	strbuf_done(buf);
	return data;
}

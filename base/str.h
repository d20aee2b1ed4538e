#pragma once

/* Strings: formatting that cannot leave a pointer undefined, a growing buffer, small tests. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/macro.h"

/* As printf, into fresh memory owned by the caller; NULL when there is no memory. */
char *str_format(const char *fmt, ...) _printf_(1, 2);
char *str_vformat(const char *fmt, va_list ap) _printf_(1, 0);

static inline bool str_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* The rest of s behind prefix, or NULL if s does not begin with it. */
const char *str_after_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);

/*
 * Parse all of s as an unsigned decimal number of at most max: digits only, no sign, no blanks.
 * Returns 0, -EINVAL or -ERANGE; *ret_value is written on success only.
 */
int str_to_u64(const char *s, uint64_t max, uint64_t *ret_value) _must_check_;

/*
 * A buffer of bytes that grows and remembers that it failed: append freely, check once with
 * strbuf_failed() or by strbuf_steal() returning NULL. Always NUL-terminated, may hold NULs.
 */
struct strbuf {
	char *data; /* NULL while empty */
	size_t size;
	size_t allocated;
	bool failed;
};

void strbuf_done(struct strbuf *buf);
#define _cleanup_strbuf_ _cleanup_(strbuf_done)

/* Add at the end: bytes, a string, one byte, what a format makes. */
void strbuf_append(struct strbuf *buf, const void *data, size_t size);
void strbuf_str(struct strbuf *buf, const char *s);
void strbuf_char(struct strbuf *buf, char c);
void strbuf_format(struct strbuf *buf, const char *fmt, ...) _printf_(2, 3);

/* Drop `size` bytes (at most all) from the front. */
void strbuf_consume(struct strbuf *buf, size_t size);
/* Empty it, keep the memory. */
void strbuf_clear(struct strbuf *buf);

static inline bool strbuf_failed(const struct strbuf *buf)
{
	return buf->failed;
}

/* The contents, never NULL ("" while empty); valid until the next change. */
static inline const char *strbuf_get(const struct strbuf *buf)
{
	return buf->data ? buf->data : "";
}

/* Hand the contents to the caller and leave the buffer empty; NULL if any append failed. */
char *strbuf_steal(struct strbuf *buf);

/* Overwrite the contents before freeing them, for secrets. */
void strbuf_done_secret(struct strbuf *buf);

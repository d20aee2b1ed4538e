#pragma once

/*
 * The codec of messages between HostKit's programs.
 *
 * A message is a flat sequence of fields without tags: integers are little-endian of fixed
 * width, a string is a 32-bit length and that many bytes. Reading: get every field, then ask
 * wire_end() once whether the message was whole. A reader that failed returns zeros and
 * NULL strings from then on, so no result needs a check of its own before that.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* The largest message, header included; bulk data travels by descriptor instead. */
#define WIRE_MESSAGE_MAX 32768

struct wire {
	const uint8_t *data;
	size_t size;
	size_t at;
	bool failed;
};

/* Read from size bytes at data, which must outlive the reader. */
static inline struct wire wire_reader(const void *data, size_t size)
{
	return (struct wire){ .data = data, .size = size };
}

/* The next value, little-endian; 0 once anything has failed. */
uint8_t wire_u8(struct wire *w);
uint32_t wire_u32(struct wire *w);
uint64_t wire_u64(struct wire *w);
static inline int64_t wire_i64(struct wire *w)
{
	return (int64_t)wire_u64(w);
}
/* A byte that must be 0 or 1. */
bool wire_bool(struct wire *w);

/*
 * A text of at most max bytes: fails on a NUL inside. Fresh memory, owned by the caller; NULL only
 * after a failure.
 */
char *wire_string(struct wire *w, size_t max) _must_check_;

/* Raw bytes of at most max: a view into the message, not owned; *ret_size is 0 after a failure. */
const uint8_t *wire_bytes(struct wire *w, size_t max, size_t *ret_size);

/* 0 if everything was well-formed and nothing is left over, else -EBADMSG (or -ENOMEM). */
int wire_end(const struct wire *w) _must_check_;

/* Writing appends to a strbuf, which remembers failures. Strings over 4 GiB fail it. */
void wire_put_u8(struct strbuf *buf, uint8_t value);
void wire_put_u32(struct strbuf *buf, uint32_t value);
void wire_put_u64(struct strbuf *buf, uint64_t value);
void wire_put_i64(struct strbuf *buf, int64_t value);
void wire_put_bool(struct strbuf *buf, bool value);
void wire_put_string(struct strbuf *buf, const char *s); /* NULL is written as "" */
void wire_put_bytes(struct strbuf *buf, const void *data, size_t size);

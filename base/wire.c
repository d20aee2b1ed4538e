#include "base/wire.h"

static const uint8_t *wire_take(struct wire *w, size_t size)
{
	const uint8_t *p;

	if (w->failed || size > w->size - w->at) {
		w->failed = true;
		return NULL;
	}
	p = w->data + w->at;
	w->at += size;
	return p;
}

static uint64_t wire_number(struct wire *w, size_t width)
{
	const uint8_t *p = wire_take(w, width);
	uint64_t value = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

uint8_t wire_u8(struct wire *w)
{
	return (uint8_t)wire_number(w, 1);
}

uint32_t wire_u32(struct wire *w)
{
	return (uint32_t)wire_number(w, 4);
}

uint64_t wire_u64(struct wire *w)
{
	return wire_number(w, 8);
}

bool wire_bool(struct wire *w)
{
	uint8_t value = wire_u8(w);

	if (value > 1)
		w->failed = true;
	return value == 1;
}

const uint8_t *wire_bytes(struct wire *w, size_t max, size_t *ret_size)
{
	uint32_t size = wire_u32(w);
	const uint8_t *p;

	*ret_size = 0;
	if (size > max) {
		w->failed = true;
		return NULL;
	}
	p = wire_take(w, size);
	if (p)
		*ret_size = size;
	return p;
}

char *wire_string(struct wire *w, size_t max)
{
	size_t size;
	const uint8_t *p = wire_bytes(w, max, &size);
	char *s;

	if (!p)
		return NULL;
	if (memchr(p, '\0', size)) {
		w->failed = true;
		return NULL;
	}
	s = strndup((const char *)p, size);
	if (!s)
		w->failed = true;
	return s;
}

int wire_end(const struct wire *w)
{
	return w->failed || w->at != w->size ? -EBADMSG : 0;
}

static void wire_put_number(struct strbuf *buf, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		strbuf_char(buf, (char)(value >> (8 * i)));
}

void wire_put_u8(struct strbuf *buf, uint8_t value)
{
	wire_put_number(buf, value, 1);
}

void wire_put_u32(struct strbuf *buf, uint32_t value)
{
	wire_put_number(buf, value, 4);
}

void wire_put_u64(struct strbuf *buf, uint64_t value)
{
	wire_put_number(buf, value, 8);
}

void wire_put_i64(struct strbuf *buf, int64_t value)
{
	wire_put_number(buf, (uint64_t)value, 8);
}

void wire_put_bool(struct strbuf *buf, bool value)
{
	wire_put_number(buf, value ? 1 : 0, 1);
}

void wire_put_bytes(struct strbuf *buf, const void *data, size_t size)
{
	if (size > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	wire_put_u32(buf, (uint32_t)size);
	strbuf_append(buf, data, size);
}

void wire_put_string(struct strbuf *buf, const char *s)
{
	wire_put_bytes(buf, s ? s : "", s ? strlen(s) : 0);
}

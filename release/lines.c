#include "release/lines.h"

#include <string.h>

/* How many bytes at the end of the line are the beginning of a UTF-8 sequence that is not over? */
static size_t cut_sequence(const char *line, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		uint8_t c = (uint8_t)line[size - back];
		size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if ((c & 0xc0) != 0x80)
			return length > back ? back : 0;
	}
	return 0;
}

static void emit_full(struct lines *lines)
{
	size_t keep = cut_sequence(lines->line, lines->size);

	lines->emit(lines->userdata, lines->line, lines->size - keep);
	memmove(lines->line, lines->line + lines->size - keep, keep);
	lines->size = keep;
}

static void feed_byte(struct lines *lines, char c)
{
	if (c == '\n') {
		lines->returned = false;
		lines->emit(lines->userdata, lines->line, lines->size);
		lines->size = 0;
		return;
	}
	if (lines->returned) {
		lines->size = 0;
		lines->returned = false;
	}
	if (c == '\r') {
		lines->returned = true;
		return;
	}
	if (lines->size == LINES_MAX)
		emit_full(lines);
	lines->line[lines->size++] = c;
}

void lines_feed(struct lines *lines, const void *data, size_t size)
{
	const char *p = data;

	for (size_t i = 0; i < size; i++) {
		if (lines->max_bytes > 0 && lines->seen_bytes + i >= lines->max_bytes)
			break;
		feed_byte(lines, p[i]);
	}
	lines->seen_bytes += size;
}

void lines_flush(struct lines *lines)
{
	if (lines->size > 0)
		lines->emit(lines->userdata, lines->line, lines->size);
	lines->size = 0;
	lines->returned = false;
}

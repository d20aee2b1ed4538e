#pragma once

/*
 * Foreign output, cut into lines as it comes: a line is passed on when its end has been seen, when it
 * grows over LINES_MAX bytes (at a character's border), or when the caller flushes. What a carriage
 * return goes back over is dropped, as a terminal would show it. Memory does not grow with the input.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

#define LINES_MAX 4096

typedef void (*lines_fn)(void *userdata, const char *line, size_t size);

struct lines {
	lines_fn emit; /* gets lines without their end */
	void *userdata;
	uint64_t max_bytes; /* more input than this is counted and dropped; 0: no limit */
	uint64_t seen_bytes;
	size_t size;
	bool returned; /* a carriage return was the last byte */
	char line[LINES_MAX];
};

/* Add output as it comes: each line it completes goes to emit. */
void lines_feed(struct lines *lines, const void *data, size_t size);

/* Pass on a line that has begun. */
void lines_flush(struct lines *lines);

/* Is there one? */
static inline bool lines_pending(const struct lines *lines)
{
	return lines->size > 0;
}

/* Was something dropped because of max_bytes? */
static inline bool lines_dropped(const struct lines *lines)
{
	return lines->max_bytes > 0 && lines->seen_bytes > lines->max_bytes;
}

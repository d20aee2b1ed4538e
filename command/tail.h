#pragma once

/* The end of a log file, and making what it holds fit to be shown. */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Where the last `lines` lines of the regular file fd begin, read backwards in pieces. A last line
 * without a newline counts as one. Returns 0 with *ret_start and the size of the file in *ret_end, or a
 * negative errno value.
 */
int tail_find(int fd, uint64_t lines, int64_t *ret_start, int64_t *ret_end) _must_check_;

/*
 * Text that arrives in pieces and leaves in whole lines: escaped (base/escape.h) except newlines and tabs,
 * characters never cut in two. At most TAIL_LINE_MAX bytes and a piece are held back.
 */
struct tail_text {
	struct strbuf pending;
	bool open_line; /* what was written last does not end in a newline */
};

#define TAIL_LINE_MAX 8192

void tail_text_done(struct tail_text *text);
#define _cleanup_tail_text_ _cleanup_(tail_text_done)

/* Take a piece; append what can be shown of it and of those before to out. */
void tail_text_feed(struct tail_text *text, const char *data, size_t size,
		    struct strbuf *out);

/* Show what was held back: nothing more may come, or not for a while. */
void tail_text_flush(struct tail_text *text, struct strbuf *out);

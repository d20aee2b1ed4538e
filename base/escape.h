#pragma once

/* Making foreign bytes safe to show on a terminal or in a log. */

#include "base/str.h"

/*
 * Append size bytes so that they show what they are and do nothing: valid printable UTF-8 as it is, every
 * control character (also C1 and the bidirectional and zero-width ones) and every byte that is not
 * UTF-8 as \xHH or \u{HHHH}; a backslash stays. Tabs stay; newlines are escaped like the others.
 */
void escape_append(struct strbuf *buf, const void *data, size_t size);

/* The same as a fresh string of at most max_bytes of input, with "..." where it was cut; NULL: no memory. */
char *escape_text(const char *s, size_t max_bytes) _must_check_;

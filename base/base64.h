#pragma once

/* Reading base64 (RFC 4648 section 4), as public keys are written; digest.h writes it. */

#include "base/str.h"

/*
 * Decode all of size bytes at text and append the result to buf. Strict: no blanks or line ends, padding
 * complete, the unused bits zero, so that two texts never mean the same bytes.
 *
 * Returns 0 or -EINVAL; buf may then have part of the result.
 */
int base64_decode(const char *text, size_t size, struct strbuf *buf) _must_check_;

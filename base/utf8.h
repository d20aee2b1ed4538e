#pragma once

/* UTF-8 (RFC 3629): the shortest form only, no surrogates, nothing above U+10FFFF. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The character that begins at p, of which `size` (at least one) bytes may be read. Returns the length of its
 * sequence, 1 to 4, with *ret_char unless that is NULL; or 0 when the bytes are not UTF-8.
 */
size_t utf8_next(const void *p, size_t size, uint32_t *ret_char);

/* Is all of it? NUL is a character like others here. */
bool utf8_is_valid(const void *data, size_t size);

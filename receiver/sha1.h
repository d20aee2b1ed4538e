#pragma once

/*
 * SHA-1 (FIPS 180-4) over a stream, for the checksums at the end of pack and index files. Objects are
 * named by libgit2, whose SHA-1 detects collisions; this one does not.
 */

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20

struct sha1 {
	uint32_t state[5];
	uint64_t size; /* bytes so far */
	uint8_t block[64];
};

/* Begin, add bytes as often as wanted, end. */
void sha1_init(struct sha1 *sha1);
void sha1_add(struct sha1 *sha1, const void *data, size_t size);
void sha1_end(struct sha1 *sha1, uint8_t ret_digest[SHA1_SIZE]);

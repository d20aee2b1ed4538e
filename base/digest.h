#pragma once

/* SHA-256 (FIPS 180-4) and base64 (RFC 4648), for fingerprints of keys. */

#include <stdint.h>

#include "base/str.h"

#define DIGEST_SHA256_SIZE 32

/* The digest of size bytes at data. */
void digest_sha256(const void *data, size_t size, uint8_t ret_digest[DIGEST_SHA256_SIZE]);

/* Append size bytes at data as base64; with `pad` filled up with '='. */
void digest_base64(struct strbuf *buf, const void *data, size_t size, bool pad);

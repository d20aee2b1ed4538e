#pragma once

/* Reading one public key as OpenSSH writes it: "ssh-ed25519 AAAA... comment" (sshd(8)). */

#include <stdint.h>

#include "base/error.h"

/* No acceptable key is longer; what is, was not meant for us. */
#define KEY_LINE_MAX 16384

struct key_line {
	char *type; /* "ssh-ed25519" ..., owned */
	char *blob; /* SSH wire format (RFC 4253 6.6), owned */
	size_t blob_size;
	char *comment; /* escaped, at most 256 bytes of the original, may be "", owned */
};

void key_line_done(struct key_line *key);
#define _cleanup_key_line_ _cleanup_(key_line_done)

/*
 * Parse size bytes at text: exactly one key, blank lines and lines that begin with '#' beside it.
 *
 * Accepted are Ed25519, ECDSA on the NIST curves and RSA of 2048 to 16384 bits whose blob is complete
 * and is of the type written in front. Refused with INVALID_PUBLIC_KEY and the reason: private keys,
 * other formats, several keys, options in front, certificates, DSA, security keys, everything else.
 * Returns 0 or a negative errno value.
 */
int key_line_parse(const char *text, size_t size, struct key_line *ret_key,
		   struct error *err) _must_check_;

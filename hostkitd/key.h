#pragma once

/* Public keys, as far as root looks into them: the name of the type in front, and a digest of all. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The type ("ssh-ed25519") of a key in SSH wire format (RFC 4253 6.6): its first string, printable ASCII
 * without blanks. Returns 0 with *ret_type (owned), or -EINVAL with INVALID_PUBLIC_KEY.
 */
int key_type(const uint8_t *blob, size_t size, char **ret_type, struct error *err)
	_must_check_;

/* "SHA256:..." as ssh-keygen(1) shows it; NULL without memory. */
char *key_fingerprint(const uint8_t *blob, size_t size);

#pragma once

/*
 * SSH_MSG_USERAUTH_REQUEST (RFC 4252 5, 7) read before libssh sees it: libssh drops what it cannot parse
 * without an answer, ignores the flags of a FIDO signature, and knows methods nobody needs here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

/* What clients may sign with: server-sig-algs, and all that is let through to libssh. */
#define USERAUTH_ALGORITHMS                                                               \
	"ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," \
	"ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"

#define USERAUTH_RSA_BITS_MIN 2048u

struct userauth_bytes {
	const uint8_t *data;
	size_t size;
};

/* Views into the packet. */
struct userauth {
	struct userauth_bytes user;
	struct userauth_bytes method;
	bool has_signature; /* the rest only for method "publickey" */
	struct userauth_bytes algorithm;
	struct userauth_bytes key;
	struct userauth_bytes signature;
};

/*
 * Parse the packet behind its type byte. Returns 0, or -EBADMSG when it is malformed (of other methods than
 * "publickey" nothing behind the name is looked at). A service other than "ssh-connection" is malformed.
 */
int userauth_parse(const void *data, size_t size, struct userauth *ret_request)
	_must_check_;

/*
 * May libssh have this "publickey" request? The algorithm must be one of ours and fit the key, an RSA key
 * be long enough, a FIDO signature say that somebody touched the token. NULL: yes; else why not.
 */
const char *userauth_objection(const struct userauth *request);

/* Is the text exactly these bytes? */
bool userauth_is(const struct userauth_bytes *bytes, const char *text);

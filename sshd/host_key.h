#pragma once

/*
 * The server's own keys, in a directory of the listener's user: ed25519 and rsa (3072 bits), files
 * ssh_host_ed25519_key and ssh_host_rsa_key, mode 0600.
 */

#include <libssh/libssh.h>

#include "base/error.h"

enum host_key_type {
	HOST_KEY_ED25519,
	HOST_KEY_RSA,
	_HOST_KEY_TYPE_N,
};

/*
 * Make the keys that are missing in the directory at path (made too, 0700, if only its last component is
 * missing) and log their fingerprints. The ed25519 key is there on return; the RSA key is made by a process
 * of its own and comes later. Fails when a key can be read by others than its owner.
 */
int host_key_ensure(const char *path, struct error *err) _must_check_;

/* Read one of them; the caller frees it with ssh_key_free(). Returns 1, 0 if there is none (yet), or -errno. */
int host_key_load(const char *path, enum host_key_type type, ssh_key *ret_key,
		  struct error *err) _must_check_;

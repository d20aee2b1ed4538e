#pragma once

/*
 * The hash of object names for tables. Whoever pushes chooses names: those of objects by trying, those that
 * a tree only speaks of freely, all twenty bytes of them. So it is keyed, and no difference between two
 * names is known to end in the same slot without the key.
 */

#include <stdint.h>

#include <git2/oid.h>

struct oidhash_key {
	uint64_t a, b;
};

/* The key of this process. */
struct oidhash_key oidhash_key(void);

/* SipHash-1-3 of the name; all bits are good. */
uint64_t oidhash(const struct oidhash_key *key, const git_oid *oid);

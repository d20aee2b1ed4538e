#pragma once

/* A set of object names with a byte for each, for millions of them. */

#include <stdbool.h>
#include <stdint.h>

#include <git2/oid.h>

#include "receiver/oidhash.h"

struct oidset_slot {
	git_oid oid;
	uint8_t used;
	uint8_t value;
};

struct oidset {
	struct oidset_slot *slots; /* NULL while empty */
	size_t allocated;          /* a power of two */
	size_t count;
	struct oidhash_key key; /* valid once there are slots */
};

void oidset_done(struct oidset *set);

/*
 * The byte of oid, which is added with 0 if it was missing; valid until the next oidset_put().
 * *ret_new (may be NULL) says whether it was. NULL: no memory.
 */
uint8_t *oidset_put(struct oidset *set, const git_oid *oid, bool *ret_new);

/* The byte of oid, or NULL if it is not in the set. */
const uint8_t *oidset_get(const struct oidset *set, const git_oid *oid);

static inline bool oidset_has(const struct oidset *set, const git_oid *oid)
{
	return oidset_get(set, oid) != NULL;
}

/* Walk it in no order: start with *at = 0; NULL at the end. Nothing may be put meanwhile. */
const struct oidset_slot *oidset_next(const struct oidset *set, size_t *at);

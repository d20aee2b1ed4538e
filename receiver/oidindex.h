#pragma once

/*
 * Finding items of an array by object name. The array belongs to the caller, may move when it grows, and
 * its items begin with their git_oid.
 */

#include <stddef.h>
#include <stdint.h>

#include <git2/oid.h>

#include "receiver/oidhash.h"

#define OIDINDEX_NONE UINT32_MAX

struct oidindex {
	uint32_t *slots;  /* position + 1; 0: free */
	size_t allocated; /* a power of two */
	size_t count;
	struct oidhash_key key; /* valid once there are slots */
};

void oidindex_done(struct oidindex *index);

/* Where in `items`, each `stride` bytes long, is oid? OIDINDEX_NONE: nowhere. */
uint32_t oidindex_find(const struct oidindex *index, const void *items, size_t stride,
		       const git_oid *oid);

/* Add the item at `position`, whose name is not in the index yet. Returns 0 or -ENOMEM. */
int oidindex_add(struct oidindex *index, const void *items, size_t stride,
		 uint32_t position);

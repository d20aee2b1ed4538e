#pragma once

/*
 * The packs of a repository as they lie on disk (gitformat-pack(5), version 2), so that compressed objects
 * and deltas can be copied into a new pack as they are. libgit2 gives objects only unpacked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <git2/oid.h>

#include "base/macro.h"

struct pack;

struct packs {
	struct pack *list;
	size_t count;
	size_t last; /* where the last object was found: the next is likely there, too */
};

/*
 * Map every pack of the repository that has a good index; others are left out. Packs added later are not
 * seen, packs removed later stay. Returns 0 or a negative errno value.
 */
int packs_open(int repo_fd, struct packs *ret_packs) _must_check_;
void packs_done(struct packs *packs);
#define _cleanup_packs_ _cleanup_(packs_done)

/* Object types as they are numbered in packs. */
enum pack_type {
	PACK_COMMIT = 1,
	PACK_TREE = 2,
	PACK_BLOB = 3,
	PACK_TAG = 4,
	PACK_OFS_DELTA = 6,
	PACK_REF_DELTA = 7,
};

/* One object as stored. */
struct pack_entry {
	enum pack_type type;
	uint64_t size;    /* unpacked; of a delta: of its instructions */
	bool delta;       /* PACK_OFS_DELTA or PACK_REF_DELTA: on top of `base` */
	git_oid base;     /* of a delta */
	const void *data; /* zlib stream, a view into the pack */
	size_t data_size;
	const void *raw; /* header and data, which the checksum is of */
	size_t raw_size;
	uint32_t checksum;
};

/* Look oid up. Returns 1 with *ret_entry, 0 when no pack has it in good order, or -ENOMEM. */
int packs_find(struct packs *packs, const git_oid *oid, struct pack_entry *ret_entry)
	_must_check_;

/* Do its bytes match the checksum in the index? To be asked before they are copied. */
bool pack_entry_is_whole(const struct pack_entry *entry);

#pragma once

/* The objects that a pack for a client will hold, and those the client is known to have. */

#include <stdint.h>

#include <git2/odb.h>

#include "base/error.h"
#include "receiver/oidindex.h"
#include "receiver/oidset.h"

struct send_object {
	git_oid oid;     /* first: oidindex.h */
	uint32_t flags;  /* of the pack writer */
	uint64_t offset; /* where it was written; 0: not yet */
};

struct sendset {
	git_odb *odb; /* borrowed */
	struct send_object *objects;
	uint32_t count, allocated;
	struct oidindex index;
	struct oidset excluded;
	void (*tick)(void *userdata); /* called now and then; NULL: not */
	void *tick_userdata;
};

void sendset_done(struct sendset *set);
#define _cleanup_sendset_ _cleanup_(sendset_done)

/* Send this object, once, unless the client has it. Returns 1 added, 0 not, or -ENOMEM. */
int sendset_add(struct sendset *set, const git_oid *oid);

/*
 * Send a tree with all below it, less what the client has. Fails with -ENOENT when a tree is missing here
 * and -EBADMSG when one cannot be read as such.
 */
int sendset_add_tree(struct sendset *set, const git_oid *tree, struct error *err)
	_must_check_;

/* The client has this object / this tree with all below it. What is missing here is passed over. */
int sendset_exclude(struct sendset *set, const git_oid *oid);
int sendset_exclude_tree(struct sendset *set, const git_oid *tree);

/* The position of an object that will be sent, or OIDINDEX_NONE. */
uint32_t sendset_find(const struct sendset *set, const git_oid *oid);

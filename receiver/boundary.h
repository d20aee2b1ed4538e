#pragma once

/*
 * Where pushed history ends. A client with a shallow clone names all commits whose parents it lacks, with every
 * push; most of the time the repository has the parents. Only an end of history that is needed for what
 * a ref leads to becomes the repository's own (REPO/shallow, gitformat-shallow in gitrepository-layout(5)):
 * who fetches sees no further.
 *
 * The branch that deploys is moved later and by another process. Until then the ends it needs are kept in
 * REPO/hostkit-shallow, lines of "TIP END\n" in hexadecimal.
 */

#include "receiver/pack.h"
#include "receiver/push.h"
#include "receiver/refs.h"

struct boundary {
	struct store *store;
	struct oidset told; /* the repository's own ends and what the client told */
	struct oidset
		believed; /* its own, and of the told ones those that lack a parent here */
	bool trust;       /* `told` counts: with less something was not connected */
};

void boundary_done(struct boundary *boundary);

/* Take what the client told, before its pack is read. Returns 0 or -ENOMEM. */
int boundary_begin(struct boundary *boundary, struct store *store,
		   const struct push *push) _must_check_;

/*
 * With the objects of the pack in the store: find out what to believe. Parents of the others become links of the
 * pack, to be checked. Returns 0 or a negative errno value.
 */
int boundary_judge(struct boundary *boundary, const struct push *push,
		   struct pack_result *pack) _must_check_;

/*
 * Add to `ends` those of the client's that what `tip` leads to needs, beyond what `refs` lead to. Returns 0 or a
 * negative errno value.
 */
int boundary_find(const struct boundary *boundary, const struct refs *refs,
		  const git_oid *tip, struct oidset *ends) _must_check_;

/*
 * Note the ends that a ref will need when it is moved to `tip`, none perhaps, instead of what was noted for it
 * before. Returns as store_add_shallow(). The caller holds the store's lock.
 */
int boundary_defer(struct store *store, const git_oid *tip, const struct oidset *ends)
	_must_check_;

/*
 * A ref is about to be moved to `tip`: what was noted for it becomes the repository's own. Returns as
 * store_add_shallow(). The caller holds the store's lock.
 */
int boundary_settle(struct store *store, const git_oid *tip) _must_check_;

#pragma once

/*
 * Is everything there? Objects must not be reachable from a ref unless all they lead to is in the repository
 * (or was left out on purpose, behind a shallow commit).
 */

#include <git2/odb.h>

#include "receiver/oidset.h"
#include "receiver/pack.h"
#include "receiver/refs.h"

struct connect {
	git_odb *odb;            /* finds the quarantine's objects, too */
	const struct refs *refs; /* complete from before */
	const struct pack_result *pack;
	const struct oidset *shallow;
	struct oidset closed; /* known to be complete, or being looked at */
	struct oidset tips;   /* commits of refs */
	bool tips_known;
};

void connect_done(struct connect *connect);
#define _cleanup_connect_ _cleanup_(connect_done)

/*
 * Check everything the pack brought and the new tips at once. Returns 1 when all is complete, 0 when
 * something is missing or of the wrong kind, or a negative errno value.
 */
int connect_check_all(struct connect *connect, const git_oid *tips, size_t count)
	_must_check_;

/* Check one tip by walking from it. Returns as connect_check_all(). */
int connect_check_tip(struct connect *connect, const git_oid *tip) _must_check_;

/*
 * Can `target` be reached from one of the commits (or tags of them)? Does not go behind missing parents. With
 * give_up_before, commits older than that many seconds end the search, which is quicker and may miss
 * it when clocks were wrong. Returns 1, 0, or a negative errno value.
 */
int connect_reaches(git_odb *odb, const git_oid *from, size_t count,
		    const git_oid *target, int64_t give_up_before) _must_check_;

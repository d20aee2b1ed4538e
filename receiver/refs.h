#pragma once

/*
 * The refs of a bare repository: files below refs/ and packed-refs, read and written as git does it
 * (gitrepository-layout(5), git-pack-refs(1)), with git's locks and words.
 */

#include <stdbool.h>
#include <stdint.h>

#include <git2/oid.h>

#include "base/error.h"

struct ref {
	const char *name; /* full; lives as long as the list */
	git_oid oid;
	bool packed; /* the value is from packed-refs: no file has it */
};

/* All refs that have a value, sorted by name in byte order. */
struct refs {
	struct ref *list;
	size_t count, allocated;
	char *head; /* what HEAD points to, e.g. "refs/heads/main", existing or not; NULL: detached */
	char *packed_data; /* the file, names point into it */
};

/* Read them all. What cannot be parsed or points nowhere is left out. Returns 0 or a negative errno. */
int refs_load(int repo_fd, struct refs *ret_refs) _must_check_;
void refs_done(struct refs *refs);
#define _cleanup_refs_ _cleanup_(refs_done)

/* The ref of that name, or NULL. */
const struct ref *refs_find(const struct refs *refs, const char *name);

/* One ref as it is now on disk. Returns 1 with *ret_oid, 0 when there is none, or a negative errno. */
int refs_read(int repo_fd, const char *name, git_oid *ret_oid) _must_check_;

/* A change of one ref. A zero oid says "does not exist" (old) and "remove" (new). */
struct ref_change {
	const char *name; /* valid (refname.h) */
	git_oid old_oid;
	git_oid new_oid;
	char *message; /* result, owned: why it was not done, as git words it; NULL: done */
	/* internal */
	int state;
	bool made_parents;
};

/*
 * Apply changes, each only if the ref still has its old value (compare and swap, under git's lock files).
 * With REFS_ATOMIC all or none; without, removals are made before the rest. Written through to the disk. `changes`
 * says which failed and why; the caller frees the messages.
 *
 * With REFS_SOLE_WRITER the caller holds a lock that keeps every other writer away: git's lock files that are there
 * were left by one that was killed, and are removed.
 *
 * Returns 0 when all were done, REFS_E_SOME_FAILED, or a negative errno value when none could be tried.
 */
enum {
	REFS_ATOMIC = 1u << 0,
	REFS_SOLE_WRITER = 1u << 1,
};
enum {
	REFS_E_OK,
	REFS_E_SOME_FAILED,
};
int refs_apply(int repo_fd, struct ref_change *changes, size_t count, unsigned flags)
	_must_check_;

/* Let HEAD point to a branch. Returns 0 or a negative errno value. */
int refs_set_head(int repo_fd, const char *name);

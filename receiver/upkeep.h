#pragma once

/* Looking after a repository: what hostkitd starts this program for besides pushes and fetches. */

#include "base/error.h"

/* Make a bare repository whose HEAD is refs/heads/main, or do nothing if one is there. */
int upkeep_init(const char *path, struct error *err) _must_check_;

/*
 * Move ref from old_hex to new_hex (40 digits, all 0: none), if it is at old_hex. That it is at new_hex
 * already is as good. REF_MOVED when it is elsewhere.
 */
int upkeep_update_ref(const char *path, const char *ref, const char *old_hex,
		      const char *new_hex, struct error *err) _must_check_;

/*
 * When there are more packs or loose objects than serve a repository well, write all objects into one pack and
 * remove what that replaces. Safe beside pushes and fetches. Returns 1 when it was done, 0 when there
 * was no need, or a negative errno value.
 */
int upkeep_consolidate(const char *path, struct error *err) _must_check_;

struct store;

/*
 * The same in a process of its own that outlives the caller, if a quick look says that it may be time.
 * Returns 0 or a negative errno value.
 */
int upkeep_consolidate_later(const struct store *store, struct error *err) _must_check_;

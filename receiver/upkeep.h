#pragma once

/* Looking after a repository: what hostkitd starts this program for besides pushes and fetches. */

#include <stdbool.h>

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

/*
 * A quick look at the repository: may it be time to consolidate, once a pack more has come? False also when
 * it cannot be looked at.
 */
bool upkeep_may_be_due(const char *path);

/*
 * If it may be, start a process that will consolidate the repository when it is told to, and outlive the
 * caller. To be called before the sandbox is entered, the library started, or a byte of the client read.
 * What goes wrong later is told to syslog(3).
 *
 * Returns a descriptor for upkeep_go(), or a negative errno value, -EBADF when there is no need. Closing the
 * descriptor ends the process, if it was not told to go.
 */
int upkeep_stand_by(const char *path) _must_check_;

/* Let it begin. */
void upkeep_go(int go_fd);

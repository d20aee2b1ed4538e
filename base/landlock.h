#pragma once

/*
 * Giving up the file system, for good and for this process and its children: all of it but what is allowed
 * here by path, and new TCP connections (landlock(7)). Whoever needs it has the user id as the first wall; a
 * kernel without Landlock, or with one older than Linux 5.19, is therefore no failure: there nothing happens.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

enum landlock_access {
	LANDLOCK_READ,  /* files, and the names in directories */
	LANDLOCK_WRITE, /* that, and changing everything; not executing */
};

struct landlock {
	int fd;      /* owned; -EBADF: the kernel has none */
	uint64_t fs; /* what is taken away where no rule gives it back */
};

/* Does this kernel have it? */
bool landlock_is_there(void);

/* Begin with nothing allowed. Returns 0 or a negative errno value. */
int landlock_init(struct landlock *landlock) _must_check_;
void landlock_done(struct landlock *landlock);

/*
 * Allow the file or directory `path` (a link there is followed) with all that is below it. A path that does
 * not exist needs no rule. Returns 0 or a negative errno value.
 */
int landlock_allow(struct landlock *landlock, const char *path,
		   enum landlock_access access) _must_check_;

/* Allow reading what libraries read long after a program has started: themselves, character sets. */
int landlock_allow_libraries(struct landlock *landlock) _must_check_;

/*
 * From here on only what was allowed can be opened by name, and no exec gains privileges. Descriptors that
 * are open stay as they are. Returns 0 or a negative errno value.
 */
int landlock_enter(struct landlock *landlock) _must_check_;

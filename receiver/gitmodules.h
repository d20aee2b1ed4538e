#pragma once

/* What a .gitmodules file may say (git-fsck(1), gitmodulesName and its siblings). */

#include <stddef.h>

/* A flaw: "gitmodulesUrl", "disallowed submodule url: -x"; what the file says is escaped and cut. */
typedef void gitmodules_report(void *userdata, const char *id, const char *message);

/*
 * Check size bytes of a file. Returns the number of flaws reported, or -EBADMSG when it cannot be read as
 * a configuration file (what was readable before has been checked), or -ENOMEM.
 */
int gitmodules_check(const void *data, size_t size, gitmodules_report *report,
		     void *userdata);

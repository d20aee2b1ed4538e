#pragma once

/* What this process may still do once it begins to read what a client sent. */

#include "base/error.h"

/*
 * Give up, for good, all of the file system but the directory `writable` and, for reading, /usr, /lib and
 * the directories named in writable/objects/info/alternates; and new TCP connections (landlock(7)). It is no
 * failure when the kernel cannot do that: it is the second wall, the user id is the first. Other processes
 * of that user can no longer look into this one (ptrace(2)).
 */
int sandbox_enter(const char *writable, struct error *err) _must_check_;

/* Bound the memory this process can take, so that it fails alone. 0: no bound. */
int sandbox_limit_memory(size_t bytes, struct error *err) _must_check_;

/* Bound the processor time this process can take in all; it is killed by SIGXCPU. 0: no bound. */
int sandbox_limit_cpu(unsigned seconds, struct error *err) _must_check_;

#pragma once

/*
 * What a connection process may still do once it is ready for a client: move bytes between the descriptors
 * it has, allocate memory, tell the time, end.
 */

#include "base/error.h"

/* Compile the system call filter into a sealed memfd, owned by the caller. */
int sandbox_filter(int *ret_filter_fd, struct error *err) _must_check_;

/*
 * Enter: no new privileges, no files by name (Landlock where the kernel has it), limits on memory,
 * descriptors, processes and core files, not traceable, and the filter read from filter_fd.
 */
int sandbox_enter(int filter_fd, struct error *err) _must_check_;

/* Give up every capability, for a listener that was allowed to bind a low port. */
int sandbox_drop_capabilities(struct error *err) _must_check_;

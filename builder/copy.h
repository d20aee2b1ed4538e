#pragma once

/* Copying files inside the kernel: by reference where the file system can, else byte by byte. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Copy the first size bytes of from_fd to the empty file to_fd. *no_clone says that this file system was
 * found unable to share blocks; it is read and set, so that it is asked once (NULL: ask each time).
 *
 * Returns 0 or a negative errno value; -EIO when from_fd is shorter than size.
 */
int copy_bytes(int from_fd, int to_fd, uint64_t size, atomic_bool *no_clone) _must_check_;

/*
 * Copy the directory from_name below from_fd to to_name below to_fd, merging with what is there: files
 * replace files, links are copied as links and never followed, anything else is left out. Missing is
 * success. Returns 1 copied, 0 there was nothing, or a negative errno value with err.
 */
int copy_tree(int from_fd, const char *from_name, int to_fd, const char *to_name,
	      struct error *err) _must_check_;

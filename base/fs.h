#pragma once

/*
 * Files and directories by descriptor: nothing here follows a symbolic link or leaves the directory
 * it was given. A `name` is a single path component unless the function says otherwise.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"

/*
 * Open a relative path of any depth below dir_fd, through no symbolic link at all (openat2(2),
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS). O_CLOEXEC is added; mode counts with O_CREAT.
 * Returns a descriptor or a negative errno value (-ELOOP for a link, -EXDEV for an escape).
 */
int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode) _must_check_;

/*
 * Replace the file `name` in the directory dir_fd: readers see the old bytes or the new ones, never a
 * mixture, also after a crash. The file gets exactly `mode` and the caller's uid.
 *
 * Returns 0 or a negative errno value. No temporary file is left behind; the old file is untouched
 * unless all that failed was flushing the directory.
 */
int fs_replace_at(int dir_fd, const char *name, mode_t mode, const void *data,
		  size_t size) _must_check_;

/* Replace the symbolic link (or file) `name` by one that points to target, atomically. */
int fs_replace_link_at(int dir_fd, const char *name, const char *target) _must_check_;

/* Read a whole regular file of at most max bytes, NUL-terminated, owned by the caller. */
int fs_read_at(int dir_fd, const char *name, size_t max, char **ret_data,
	       size_t *ret_size) _must_check_;

/*
 * Remove `name` with everything below it, links themselves and never their targets, and never across a
 * mount point. Missing is success. Directories without write permission are given it first.
 */
int fs_remove_tree_at(int dir_fd, const char *name) _must_check_;

/* Make directory `name` unless it exists; exactly `mode`. Returns 1 made, 0 existed, or -errno. */
int fs_mkdir_at(int dir_fd, const char *name, mode_t mode) _must_check_;

/* Is it a single path component: not empty, no '/', not "." or ".."? */
bool fs_name_is_component(const char *name);

/*
 * The next entry of a directory, as readdir(3) has it, or NULL: at the end, and then *r stays as it is, or after a
 * failure, with a negative errno value in *r.
 */
struct dirent *fs_next_entry(DIR *dir, int *r);

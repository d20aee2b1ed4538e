#pragma once

/*
 * What an export wrote, so that the next one can tell which files are still exactly that.
 *
 * The manifest of release NAME is the file ".NAME.manifest" beside it. It is the project's own file, as the
 * release is: whoever can forge it can also change the release, so it guards against accidents (an app, a
 * build or a person that edits files in place), not against the project's own user.
 */

#include <git2/oid.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/str.h"

struct manifest_file {
	char *path; /* below the release */
	uint8_t oid[GIT_OID_RAWSZ];
	bool executable;
	uint64_t inode;
	uint64_t size;
	int64_t changed_sec; /* st_ctim: no program can set it */
	uint32_t changed_nsec;
};

struct manifest {
	char *commit; /* 40 hexadecimal digits */
	struct manifest_file *files;
	size_t count;
};

void manifest_done(struct manifest *manifest);
#define _cleanup_manifest_ _cleanup_(manifest_done)

/* The file's name for the release `name`, NULL: no memory. */
char *manifest_name(const char *name) _must_check_;

/*
 * Write the manifest of the release `name` in dir_fd. Files that changed in the tick of the clock that is
 * `now` (CLOCK_REALTIME_COARSE) are left out: another write in the same tick would not show in their time.
 * Returns 0 or a negative errno value, with nothing left behind.
 */
int manifest_write(int dir_fd, const char *name, const struct manifest *manifest,
		   const struct timespec *now) _must_check_;

/* Read it, files sorted by path. Returns 1, 0 when there is none or it is no manifest, or -errno. */
int manifest_read(int dir_fd, const char *name, struct manifest *ret_manifest)
	_must_check_;

/* The bytes of a manifest: exposed for tests. Returns 0, -EBADMSG or -ENOMEM. */
int manifest_parse(const void *data, size_t size, struct manifest *ret_manifest)
	_must_check_;

/* The entry of path, or NULL. */
const struct manifest_file *manifest_find(const struct manifest *manifest,
					  const char *path);

/* Note what the stat of a freshly written file says. */
void manifest_note(struct manifest_file *file, const struct stat *st);

/* Does the stat say that the file has not been touched since it was noted? */
bool manifest_is_pristine(const struct manifest_file *file, const struct stat *st);

/* Remove manifests in dir_fd whose release is gone. Failures are ignored: they only cost space. */
void manifest_sweep(int dir_fd);

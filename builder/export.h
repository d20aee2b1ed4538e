#pragma once

/* A commit onto disk, exactly: no attributes, no filters, no line-end conversion, no export-ignore. */

#include <git2/oid.h>
#include <stdint.h>

#include "base/error.h"
#include "builder/plan.h"

struct export_request {
	const char *objects; /* the repository's object directory */
	git_oid commit;
	int parent_fd;    /* where the release is made */
	const char *name; /* of the release, must not exist */

	/* the release whose untouched files are copied instead of unpacked; NULL: none */
	const char *previous;
	int previous_parent_fd;
	const char *previous_commit; /* NULL: whatever it was made from */

	struct plan_limits limits;
	bool refuse_lfs; /* refuse Git LFS pointers (LFS_POINTER) */
	int stop_fd;     /* stop.h */
};

struct export_result {
	uint64_t files; /* and links */
	uint64_t bytes;
	uint64_t copied; /* files taken over from the previous release */
};

/*
 * Make parent_fd/name hold the tree of the commit, and its manifest beside it (manifest.h). Submodules become
 * empty directories and are named as trouble. What the previous release lends is checked file by file.
 *
 * Fails with what plan_read() fails with, LFS_POINTER, TREE_REFUSED (a link without a target),
 * TREE_TOO_LARGE, DISK_FULL, -ECANCELED when told to stop, or internally. After a failure neither the
 * directory nor the manifest is there.
 */
int export_commit(const struct export_request *request, struct export_result *ret_result,
		  struct error *err) _must_check_;

/* The message for a failed write: DISK_FULL where that is the reason, else internal. Returns number. */
int export_write_error(struct error *err, int number, int dir_fd, const char *path);

#pragma once

/* One build: what it was asked for and what all its parts need. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "builder/export.h"

struct build {
	const char *repo;     /* bare repository */
	const char *commit;   /* 40 hexadecimal digits */
	const char *releases; /* directory */
	const char *release;  /* name in it */
	const char *previous; /* name in it, or NULL */
	const char *previous_commit;
	uint32_t runtime; /* enum runtime */
	bool no_cache;
	struct plan_limits limits;

	int releases_fd;    /* owned */
	int release_fd;     /* owned; -EBADF until exported */
	char *release_path; /* absolute, owned */
	int stop_fd;        /* owned */
};

/*
 * Run a program in the release, its output going where ours goes, with our environment and those of
 * `defaults` ("NAME=value", NULL-terminated, may be NULL) whose name is not set already. argv[0] is its
 * absolute path.
 *
 * Returns its exit status (128 + the signal that ended it), -ECANCELED when told to stop (it is ended first),
 * or another negative errno value.
 */
int build_run(const struct build *build, const char *const *argv,
	      const char *const *defaults, struct error *err) _must_check_;

/*
 * The same for a step that must succeed: says "$ NAME ARGUMENTS" before. A status other than 0 fails with
 * `code` and what is left of the disk if that is the likely reason.
 */
int build_step(const struct build *build, const char *const *argv,
	       const char *const *defaults, const char *code, struct error *err)
	_must_check_;

/* Is `name` in the release a regular file (no link to one)? */
bool build_has_file(const struct build *build, const char *name);

/* Install and build what the commit needs for its runtime (node.c, python.c). */
int node_build(const struct build *build, struct error *err) _must_check_;
int python_build(const struct build *build, struct error *err) _must_check_;

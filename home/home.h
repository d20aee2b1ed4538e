#pragma once

/*
 * hostkit-home OPERATION [WORDS]: everything that is done in a project's home and is no build. It runs as
 * the project's user and works on the directory it is started in. It follows no symbolic link and
 * leaves neither the home nor, in what it removes, the filesystem. Complaints go to standard error.
 *
 *   layout [--python]   make releases/, shared/ (0750), the empty release RELEASE_BOOTSTRAP and, unless
 *                       there is one, the link app to it; with --python also the link venv -> app/.venv.
 *                       May be repeated.
 *   layout-check [--python]  is all of that there?
 *   env-check           is there anything called .env?
 *   env-create          write standard input to .env (0600) unless there is one
 *   env-read            write .env to standard output; nothing if there is none
 *   env-edit            change .env as standard input says (env.h), answer on standard output
 *   switch RELEASE      point app to that release
 *   drop RELEASE        remove a release that is not live; one that is not there is fine
 *   prune RELEASE...    the same for several, at idle priority
 *   remove              remove everything below the home, not the home itself
 *
 * RELEASE is YYYYMMDD-HHMMSS or RELEASE_BOOTSTRAP; that one is never removed by drop and prune.
 */

#include "base/error.h"

/* Exit statuses. */
enum {
	HOME_EXIT_DONE = 0,
	HOME_EXIT_FAILED = 1,
	HOME_EXIT_USAGE = 2,
	HOME_EXIT_NOT_FOUND =
		3,          /* switch: there is no such release directory; *-check: no */
	HOME_EXIT_LIVE = 4, /* drop, prune: app points to it */
};

/*
 * The operations, on the home behind home_fd; prose as above. They return 0 or a negative errno value:
 * -ENOENT where the status is NOT_FOUND, -EBUSY where it is LIVE.
 */
int home_layout(int home_fd, bool python, struct error *err) _must_check_;
int home_layout_check(int home_fd, bool python, struct error *err) _must_check_;
int home_switch(int home_fd, const char *release, struct error *err) _must_check_;
int home_drop(int home_fd, const char *release, struct error *err) _must_check_;
int home_remove(int home_fd, struct error *err) _must_check_;
int home_env_check(int home_fd, struct error *err) _must_check_;
int home_env_create(int home_fd, int in_fd, struct error *err) _must_check_;
int home_env_read(int home_fd, int out_fd, struct error *err) _must_check_;
/* A refused change is an answer, not a failure. */
int home_env_edit(int home_fd, int in_fd, int out_fd, struct error *err) _must_check_;

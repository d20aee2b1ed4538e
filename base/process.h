#pragma once

/*
 * Starting programs: a fixed absolute path, an argument list, a minimal environment, exactly the
 * descriptors named, another user where asked for, and no shell.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* The highest count of descriptors that can be handed to a child. */
#define PROCESS_FDS_MAX 8

struct process_plan {
	const char *path;         /* absolute */
	const char *const *argv;  /* NULL-terminated, argv[0] included */
	const char *const *envp;  /* NULL-terminated; NULL: PATH only */
	int fds[PROCESS_FDS_MAX]; /* become 0, 1, 2, ... in the child; -1 is /dev/null */
	size_t fd_count;          /* at least 3 */
	bool drop; /* become uid:gid with no other groups and no way back */
	uid_t uid;
	gid_t gid;
	const char *directory; /* to start in; NULL: / */
};

/*
 * Start it. Signals are reset, every other descriptor is closed, umask is 022. With `drop` the child also
 * cannot gain privileges by exec (PR_SET_NO_NEW_PRIVS).
 *
 * Returns 0 with *ret_pid and, unless ret_pidfd is NULL, an owned pidfd; or a negative errno value also
 * for a program that could not be executed (err says which step failed).
 */
int process_start(const struct process_plan *plan, pid_t *ret_pid, int *ret_pidfd,
		  struct error *err) _must_check_;

/* A child that has been forked; all descriptors are the caller's. */
struct process {
	pid_t pid;
	int pidfd;
	int report_fd; /* for process_report() */
};

/*
 * The same without waiting for the exec. For those who serve others meanwhile: once the child has become the plan's
 * user, every process of that user can stop it on its way.
 *
 * Returns 0 or a negative errno value.
 */
int process_spawn(const struct process_plan *plan, struct process *ret_process,
		  struct error *err) _must_check_;

/*
 * Wait until a spawned child has executed the program `path` or ended. Returns 0, or the negative errno value
 * that kept it from executing it (err says which step failed). One that was killed before reports nothing: 0.
 */
int process_report(const char *path, int report_fd, struct error *err) _must_check_;

/*
 * Wait for a child of ours. Returns its exit status, 128 + the signal that ended it, or a negative errno
 * value.
 */
int process_wait(pid_t pid);

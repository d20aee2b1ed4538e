/*
 * hostkit-receive: git's two services, and the upkeep of a repository. Runs as the project's user, serves
 * one client and ends. The sandbox is entered before libgit2 starts and before a foreign byte is read.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "protocol/exit_report.h"
#include "receiver/library.h"
#include "receiver/options.h"
#include "receiver/receive.h"
#include "receiver/sandbox.h"
#include "receiver/upkeep.h"
#include "receiver/upload.h"

/* As git: what a client sees when the service breaks down. */
#define EXIT_FATAL 128
#define EXIT_USAGE 2

static bool is_service(const struct receive_options *options)
{
	return options->mode == RECEIVE_MODE_RECEIVE ||
	       options->mode == RECEIVE_MODE_UPLOAD;
}

static int run_upkeep(const struct receive_options *o, struct error *err)
{
	switch (o->mode) {
	case RECEIVE_MODE_INIT:
		return upkeep_init(o->repository, err);
	case RECEIVE_MODE_UPDATE_REF:
		return upkeep_update_ref(o->repository, o->ref, o->old_hex, o->new_hex,
					 err);
	case RECEIVE_MODE_CONSOLIDATE:
		return upkeep_consolidate(o->repository, err);
	case RECEIVE_MODE_RECEIVE:
	case RECEIVE_MODE_UPLOAD:
	case RECEIVE_MODE_HELP:
	case RECEIVE_MODE_VERSION:
		break;
	}
	return error_internal(err, -EINVAL, "mode %d", o->mode);
}

static int run_upload(const struct receive_options *o)
{
	const struct upload_settings settings = {
		.repository = o->repository,
		.version = o->protocol,
		.in_fd = STDIN_FILENO,
		.out_fd = STDOUT_FILENO,
	};

	return upload_run(&settings);
}

static int run_receive(const struct receive_options *o, int go_fd, struct error *err)
{
	int r = receive_run(o, err);

	if (r >= 0 && go_fd >= 0)
		upkeep_go(go_fd);
	return r;
}

/* Returns the exit status, or a negative errno value. */
static int run(const struct receive_options *o, struct error *err)
{
	_cleanup_close_ int go_fd = -EBADF;
	int r;

	/* without it the push is as good, and the next one tries again */
	if (o->mode == RECEIVE_MODE_RECEIVE)
		go_fd = upkeep_stand_by(o->repository);
	if (go_fd < 0 && go_fd != -EBADF)
		log_warning("consolidate %s: %s, ignoring", o->repository,
			    strerror(-go_fd));
	/* the directory must be there to be the one that stays within reach */
	if (o->mode == RECEIVE_MODE_INIT && mkdir(o->repository, 0700) < 0 &&
	    errno != EEXIST)
		return error_internal(err, -errno, "make %s", o->repository);
	r = sandbox_enter(o->repository, err);
	if (r == 0)
		r = library_start(err);
	if (r < 0)
		return r;
	if (o->mode == RECEIVE_MODE_UPLOAD)
		return run_upload(o);
	r = o->mode == RECEIVE_MODE_RECEIVE ? run_receive(o, go_fd, err)
					    : run_upkeep(o, err);
	return r < 0 ? r : EXIT_SUCCESS;
}

static int receive_main(int argc, char **argv)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct receive_options options = { 0 };
	int r;

	log_setup("hostkit-receive", LOG_INFO);
	r = options_parse(argc, argv, getenv("GIT_PROTOCOL"), &options, &err);
	if (r < 0) {
		(void)fprintf(stderr, "hostkit-receive: %s\n%s", error_text(&err, true),
			      err.suggestion ? "Try 'hostkit-receive --help'.\n" : "");
		return EXIT_USAGE;
	}
	if (options.mode == RECEIVE_MODE_HELP)
		return fputs(options_help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (options.mode == RECEIVE_MODE_VERSION)
		return puts("hostkit-receive " HOSTKIT_VERSION) < 0 ? EXIT_FAILURE
								    : EXIT_SUCCESS;

	/* a client that goes away shows as EPIPE where it matters */
	(void)signal(SIGPIPE, SIG_IGN);
	r = run(&options, &err);
	if (r >= 0)
		return r;
	if (!error_is_set(&err))
		(void)error_internal(&err, r, "hostkit-receive");
	if (!is_service(&options)) {
		log_error(LOG_ERR, &err, "%s", options.repository);
		return EXIT_FAILURE;
	}
	(void)fprintf(stderr, "fatal: %s\n", error_text(&err, true));
	return EXIT_FATAL;
}

int main(int argc, char **argv)
{
	return exit_report(receive_main(argc, argv));
}

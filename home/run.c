/*
 * hostkit-run HOME PROGRAM [ARGUMENT...]: become PROGRAM with the variables of HOME/.env added to the
 * environment. Runs as the project's user.
 *
 * EnvironmentFile= would do the same, but systemd reads that file as root and follows whatever the project has put
 * in its place: a link to another project's .env hands over its secrets, a FIFO stops the machine's first
 * process. Here nothing can be read that the project cannot read anyway.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "home/env.h"

enum {
	RUN_EXIT_USAGE = 2,
	RUN_EXIT_ENVIRONMENT = 78, /* EX_CONFIG of sysexits.h */
	RUN_EXIT_EXEC = 203,       /* as systemd has it, systemd.exec(5) */
};

static int run_environment(const char *home, struct error *err)
{
	_cleanup_close_ int home_fd = -EBADF;
	_cleanup_env_ struct env env = { 0 };
	const struct env_entry *entry;
	char *data = NULL;
	size_t size, at = 0;
	int r;

	home_fd = open(home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home_fd < 0)
		return error_internal(err, -errno, "open %s", home);
	r = fs_read_at(home_fd, ".env", ENV_FILE_MAX, &data, &size);
	if (r < 0)
		return error_internal(err, r, "read %s/.env", home);
	r = env_parse(data, size, &env, err);
	explicit_bzero(data, size);
	free(data);
	if (r < 0)
		return error_wrap(err, r, "%s/.env", home);
	while ((entry = env_next(&env, &at)))
		if (setenv(entry->key, entry->value, 1) < 0)
			return error_internal(err, -errno, "environment");
	return 0;
}

static int usage(FILE *out)
{
	fputs("usage: hostkit-run HOME PROGRAM [ARGUMENT...]\n"
	      "Runs PROGRAM with the variables of HOME/.env in its environment.\n",
	      out);
	return out == stdout ? EXIT_SUCCESS : RUN_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	log_setup("hostkit-run", LOG_INFO);
	if (argc == 2 && str_equal(argv[1], "--version"))
		return printf("hostkit-run %s\n", HOSTKIT_VERSION) < 0;
	if (argc == 2 && str_equal(argv[1], "--help"))
		return usage(stdout);
	if (argc < 3 || argv[1][0] != '/' || argv[2][0] != '/')
		return usage(stderr);
	if (geteuid() == 0) {
		log_err("refusing to run as root: an app belongs to its project");
		return RUN_EXIT_ENVIRONMENT;
	}

	if (run_environment(argv[1], &err) < 0) {
		log_error(LOG_ERR, &err, "cannot start %s", argv[2]);
		return RUN_EXIT_ENVIRONMENT;
	}
	(void)execv(argv[2], argv + 2); /* returns only when it failed */
	log_err("cannot execute %s: %s", argv[2], strerror(errno));
	return RUN_EXIT_EXEC;
}

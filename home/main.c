/*
 * hostkit-home: what has to be done in a project's home (home.h). Runs as the project's user, started by
 * root with words it has checked; they are checked here again.
 */
#include <fcntl.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/str.h"
#include "home/home.h"

static int take_python(char **words, struct error *err)
{
	if (words[0] && !str_equal(words[0], "--python"))
		return error_internal(err, -EINVAL, "layout takes --python or nothing");
	return words[0] != NULL;
}

static int run_layout(int home_fd, char **words, struct error *err)
{
	int python = take_python(words, err);

	return python < 0 ? python : home_layout(home_fd, python, err);
}

static int run_layout_check(int home_fd, char **words, struct error *err)
{
	int python = take_python(words, err);

	return python < 0 ? python : home_layout_check(home_fd, python, err);
}

static int run_env_check(int home_fd, _unused_ char **words, struct error *err)
{
	return home_env_check(home_fd, err);
}

static int run_env_create(int home_fd, _unused_ char **words, struct error *err)
{
	return home_env_create(home_fd, STDIN_FILENO, err);
}

static int run_env_read(int home_fd, _unused_ char **words, struct error *err)
{
	return home_env_read(home_fd, STDOUT_FILENO, err);
}

static int run_env_edit(int home_fd, _unused_ char **words, struct error *err)
{
	return home_env_edit(home_fd, STDIN_FILENO, STDOUT_FILENO, err);
}

static int run_switch(int home_fd, char **words, struct error *err)
{
	return home_switch(home_fd, words[0], err);
}

/* Nobody waits for it: leave disk and processor to others. */
static void work_slowly(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 19); /* a wish, as the next one */
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static int run_drop(int home_fd, char **words, struct error *err)
{
	return home_drop(home_fd, words[0], err);
}

static int run_prune(int home_fd, char **words, struct error *err)
{
	int result = 0;

	work_slowly();
	for (; *words; words++) {
		_cleanup_error_ struct error one = ERROR_INIT;
		int r = home_drop(home_fd, *words, &one);

		if (r < 0) {
			log_error(LOG_WARNING, &one, "prune, going on");
			result = error_internal(err, r, "not every release was removed");
		}
	}
	return result;
}

static int run_remove(int home_fd, _unused_ char **words, struct error *err)
{
	return home_remove(home_fd, err);
}

static const struct operation {
	const char *name;
	size_t words_min, words_max;
	int (*run)(int home_fd, char **words, struct error *err);
} operations[] = {
	{ "layout", 0, 1, run_layout },       { "layout-check", 0, 1, run_layout_check },
	{ "env-check", 0, 0, run_env_check }, { "env-create", 0, 0, run_env_create },
	{ "env-read", 0, 0, run_env_read },   { "env-edit", 0, 0, run_env_edit },
	{ "switch", 1, 1, run_switch },       { "drop", 1, 1, run_drop },
	{ "prune", 1, 1000, run_prune },      { "remove", 0, 0, run_remove },
};

static const struct operation *operation_find(int argc, char **argv)
{
	size_t words = argc < 2 ? 0 : (size_t)argc - 2;

	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(operations); i++)
		if (str_equal(argv[1], operations[i].name) &&
		    words >= operations[i].words_min && words <= operations[i].words_max)
			return &operations[i];
	return NULL;
}

static int usage(FILE *out)
{
	fputs("usage: hostkit-home layout [--python] | layout-check [--python] |\n"
	      "       env-check | env-create | env-read | env-edit |\n"
	      "       switch RELEASE | drop RELEASE | prune RELEASE... | remove\n"
	      "Works on the project's home it is started in, as the project's user.\n",
	      out);
	return out == stdout ? HOME_EXIT_DONE : HOME_EXIT_USAGE;
}

static int exit_status(int r)
{
	switch (r) {
	case 0:
		return HOME_EXIT_DONE;
	case -EINVAL:
		return HOME_EXIT_USAGE;
	case -ENOENT:
		return HOME_EXIT_NOT_FOUND;
	case -EBUSY:
		return HOME_EXIT_LIVE;
	default:
		return HOME_EXIT_FAILED;
	}
}

int main(int argc, char **argv)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_close_ int home_fd = -EBADF;
	const struct operation *operation = operation_find(argc, argv);
	int r;

	log_setup("hostkit-home", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
	if (argc == 2 && str_equal(argv[1], "--version"))
		return printf("hostkit-home %s\n", HOSTKIT_VERSION) < 0;
	if (argc == 2 && str_equal(argv[1], "--help"))
		return usage(stdout);
	if (!operation)
		return usage(stderr);
	if (geteuid() == 0) {
		log_err("refusing to run as root: a home belongs to its project");
		return HOME_EXIT_FAILED;
	}

	home_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = home_fd < 0 ? error_internal(&err, -errno, "open the home")
			: operation->run(home_fd, argv + 2, &err);
	if (r < 0)
		log_error(LOG_ERR, &err, "%s", operation->name);
	return exit_status(r);
}

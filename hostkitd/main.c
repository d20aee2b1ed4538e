/*
 * hostkitd, the only root: state, requests, and starting everything else as somebody else. One loop, no
 * threads. It parses nothing that came from a client, a repository, a build or a project.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "hostkitd/account.h"
#include "hostkitd/internal.h"
#include "hostkitd/systemd.h"

static int usage(FILE *out)
{
	fputs("usage: hostkitd [--config FILE]\n"
	      "       hostkitd --check-config FILE\n"
	      "       hostkitd --version | --help\n"
	      "Started by systemd (hostkitd.service) with its socket.\n",
	      out);
	return out == stdout ? EXIT_SUCCESS : 2;
}

static int check_config(const char *path)
{
	_cleanup_(settings_freep) struct settings *settings = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;

	if (settings_load(path, &settings, &err) < 0) {
		fprintf(stderr, "%s\n", error_text(&err, true));
		return EXIT_FAILURE;
	}
	printf("%s: good\n", path);
	return EXIT_SUCCESS;
}

static int service_account(const char *name, struct account *ret, struct error *err)
{
	int r = account_find(name, ret, NULL);

	if (r > 0)
		return 0;
	error_user(err, r < 0 ? r : -ENOENT, "SETUP_INCOMPLETE", "there is no user '%s'",
		   name);
	error_suggest(err, "systemd-sysusers");
	return r < 0 ? r : -ENOENT;
}

/* The socket comes from systemd, so that requests wait while we restart. */
static int daemon_listen(struct daemon *daemon, struct error *err)
{
	int n = sd_listen_fds(1), r;

	if (n != 1)
		return error_user(err, -EINVAL, "SETUP_INCOMPLETE",
				  "hostkitd must be started by hostkitd.socket");
	r = sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1);
	if (r <= 0)
		return error_user(
			err, -EINVAL, "SETUP_INCOMPLETE",
			"the socket of hostkitd.socket is not of the right kind");
	if (fcntl(SD_LISTEN_FDS_START, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return error_internal(err, -errno, "listen");
	r = sd_event_add_io(daemon->event, NULL, SD_LISTEN_FDS_START, EPOLLIN,
			    connection_accept, daemon);
	return r < 0 ? error_internal(err, r, "listen") : 0;
}

static int daemon_event(struct daemon *daemon, struct error *err)
{
	sigset_t stop;
	int r;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0)
		return error_internal(err, -errno, "sigprocmask");
	r = sd_event_default(&daemon->event);
	if (r >= 0)
		r = sd_event_add_signal(daemon->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(daemon->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_set_watchdog(daemon->event, 1);
	return r < 0 ? error_internal(err, r, "event loop") : 0;
}

static int daemon_start(struct daemon *daemon, const char *config, struct error *err)
{
	int r = settings_load(config, &daemon->settings, err);

	if (r >= 0)
		r = service_account(DAEMON_USER, &daemon->user, err);
	if (r >= 0)
		r = service_account(DAEMON_SSHD_USER, &daemon->sshd_user, err);
	if (r >= 0)
		r = state_open(DAEMON_STATE_DIR "/hostkit.db", &daemon->state, err);
	if (r >= 0)
		r = daemon_event(daemon, err);
	if (r >= 0)
		r = systemd_open(daemon->event, &daemon->systemd, err);
	if (r >= 0)
		r = job_resume_all(daemon, err);
	if (r >= 0)
		r = daemon_listen(daemon, err);
	return r;
}

static void daemon_stop(struct daemon *daemon)
{
	connection_close_all(daemon);
	job_free_all(daemon);
	daemon->systemd = systemd_close(daemon->systemd);
	sd_event_unref(daemon->event);
	state_close(daemon->state);
	settings_free(daemon->settings);
}

static int daemon_run(const char *config)
{
	struct daemon daemon = { .event = NULL };
	_cleanup_error_ struct error err = ERROR_INIT;
	int r;

	LIST_INIT(&daemon.connections);
	LIST_INIT(&daemon.jobs);
	LIST_INIT(&daemon.sessions);
	umask(022);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */

	r = daemon_start(&daemon, config, &err);
	if (r >= 0) {
		(void)sd_notify(0, "READY=1"); /* not started by systemd: nobody waits */
		log_info("hostkitd %s is ready", HOSTKIT_VERSION);
		r = sd_event_loop(daemon.event);
	} else {
		log_error(LOG_ERR, &err, "cannot start");
		(void)sd_notifyf(0, "STATUS=%s", error_text(&err, true));
	}
	(void)sd_notify(0, "STOPPING=1");
	daemon_stop(&daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	log_setup("hostkitd", LOG_INFO);
	if (argc == 2 && str_equal(argv[1], "--help"))
		return usage(stdout);
	if (argc == 2 && str_equal(argv[1], "--version"))
		return printf("hostkitd %s\n", HOSTKIT_VERSION) < 0;
	if (argc == 3 && str_equal(argv[1], "--check-config"))
		return check_config(argv[2]);
	if (argc == 3 && str_equal(argv[1], "--config"))
		return daemon_run(argv[2]);
	return argc == 1 ? daemon_run(NULL) : usage(stderr);
}

/*
 * hostkit-sshd: the SSH server. Without arguments the listener that /etc/hostkit/hostkit.conf describes;
 * with --connection one of the processes it starts, each for one client.
 */

#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "protocol/request.h"
#include "sshd/connection.h"
#include "sshd/listener.h"

#define HOST_KEY_DIR "/var/lib/hostkit/ssh"

/* Nobody needs these often enough for a key in hostkit.conf. */
#define UNAUTHENTICATED_MAX 32u
#define STALLED_USEC 2000000u
#define IDLE_SEC 600u
#define ALIVE_SEC 60u
#define CHANNELS 10u
#define SPARES 2u

static const char help[] =
	"Usage: hostkit-sshd [OPTION]...\n"
	"Serve git and the commands of HostKit over SSH.\n"
	"\n"
	"      --config FILE         read FILE instead of " SETTINGS_PATH "\n"
	"      --listen ADDR:PORT    listen there; several, separated by blanks\n"
	"      --socket PATH         socket of hostkitd\n"
	"      --host-key-dir DIR    where the host keys are, made when missing\n"
	"      --users NAMES         user names that clients may give\n"
	"      --login-grace SEC     time to log in\n"
	"      --idle SEC            time without a command after which we close\n"
	"      --alive SEC           ask a silent client for a sign of life after\n"
	"      --max-connections N   at the same time\n"
	"      --max-per-source N    of these from one address\n"
	"      --max-unauthenticated N\n"
	"                            of these not logged in yet\n"
	"      --help                show this text\n"
	"      --version             show the version\n";

enum {
	OPTION_CONFIG = 256,
	OPTION_LISTEN,
	OPTION_SOCKET,
	OPTION_HOST_KEY_DIR,
	OPTION_USERS,
	OPTION_LOGIN_GRACE,
	OPTION_IDLE,
	OPTION_ALIVE,
	OPTION_MAX_CONNECTIONS,
	OPTION_MAX_PER_SOURCE,
	OPTION_MAX_UNAUTHENTICATED,
	OPTION_CONNECTION,
	OPTION_HELP,
	OPTION_VERSION,
	_OPTION_END,
};

static const struct option options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "host-key-dir", required_argument, NULL, OPTION_HOST_KEY_DIR },
	{ "users", required_argument, NULL, OPTION_USERS },
	{ "login-grace", required_argument, NULL, OPTION_LOGIN_GRACE },
	{ "idle", required_argument, NULL, OPTION_IDLE },
	{ "alive", required_argument, NULL, OPTION_ALIVE },
	{ "max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS },
	{ "max-per-source", required_argument, NULL, OPTION_MAX_PER_SOURCE },
	{ "max-unauthenticated", required_argument, NULL, OPTION_MAX_UNAUTHENTICATED },
	{ "connection", no_argument, NULL, OPTION_CONNECTION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

/* The arguments as given, by option; NULL: not given. */
struct arguments {
	const char *values[_OPTION_END - OPTION_CONFIG];
};

static const char *argument(const struct arguments *args, int option)
{
	return args->values[option - OPTION_CONFIG];
}

/* Replace *value by the number given for the option, if any. */
static int override(const struct arguments *args, int option, uint32_t *value,
		    struct error *err)
{
	const char *text = argument(args, option);
	uint64_t number;

	if (!text)
		return 0;
	if (str_to_u64(text, 1000000, &number) < 0 || number == 0)
		return error_user(err, -EINVAL, "USAGE",
				  "'%s' is not a number from 1 to 1000000", text);
	*value = (uint32_t)number;
	return 0;
}

static int apply_numbers(const struct arguments *args, struct listener_options *o,
			 struct error *err)
{
	const struct {
		int option;
		uint32_t *value;
	} numbers[] = {
		{ OPTION_LOGIN_GRACE, &o->login_grace_sec },
		{ OPTION_IDLE, &o->idle_sec },
		{ OPTION_ALIVE, &o->alive_sec },
		{ OPTION_MAX_CONNECTIONS, &o->limits.total },
		{ OPTION_MAX_PER_SOURCE, &o->limits.per_source },
		{ OPTION_MAX_UNAUTHENTICATED, &o->limits.unauthenticated },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(numbers); i++)
		r = override(args, numbers[i].option, numbers[i].value, err);
	return r;
}

static int run_listener(const struct arguments *args, struct error *err)
{
	_cleanup_(settings_freep) struct settings *settings = NULL;
	struct listener_options o = { 0 };
	const char *listen, *users, *dir;
	int r;

	r = settings_load(argument(args, OPTION_CONFIG), &settings, err);
	if (r < 0)
		return r;
	listen = argument(args, OPTION_LISTEN);
	users = argument(args, OPTION_USERS);
	dir = argument(args, OPTION_HOST_KEY_DIR);
	o.limits = (struct limits){
		.total = settings->ssh_max_connections,
		.per_source = settings->ssh_max_per_source,
		.unauthenticated = UNAUTHENTICATED_MAX,
		.stalled_usec = STALLED_USEC,
	};
	o.users = users ? users : settings->ssh_user;
	o.host_key_dir = dir ? dir : HOST_KEY_DIR;
	o.socket = argument(args, OPTION_SOCKET);
	if (!o.socket)
		o.socket = REQUEST_SOCKET;
	o.login_grace_sec = settings->ssh_login_grace_sec;
	o.idle_sec = IDLE_SEC;
	o.alive_sec = ALIVE_SEC;
	o.channels = CHANNELS;
	o.spares = SPARES;
	r = apply_numbers(args, &o, err);
	if (r < 0)
		return r;

	r = settings_addresses(listen ? listen : settings->ssh_listen, o.listen);
	if (r < 0)
		return error_user(err, r, "USAGE", "'%s' is no list of ADDRESS:PORT",
				  listen ? listen : settings->ssh_listen);
	o.listen_count = (size_t)r;

	if (geteuid() == 0)
		return error_user(err, -EPERM, "USAGE",
				  "hostkit-sshd does not run as root; "
				  "the unit starts it as hostkit-sshd");
	return listener_run(&o, err);
}

int main(int argc, char *argv[])
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct arguments args = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONNECTION:
			/* from within the sandbox: no handlers, nothing to flush */
			_exit(connection_main());
		case OPTION_HELP:
			(void)fputs(help, stdout);
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			(void)puts("hostkit-sshd " HOSTKIT_VERSION);
			return EXIT_SUCCESS;
		case '?':
			return 2;
		default:
			args.values[option - OPTION_CONFIG] = optarg;
		}
	}
	if (optind < argc) {
		(void)fputs(help, stderr);
		return 2;
	}
	log_setup("hostkit-sshd", LOG_INFO);
	if (run_listener(&args, &err) < 0) {
		log_error(LOG_ERR, &err, "cannot serve");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

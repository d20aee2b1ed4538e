/*
 * The listening process. Runs as hostkit-sshd and reads not one byte of what clients send: it accepts,
 * decides by address and number, and passes the socket to a process that was started in advance, so that no
 * client waits for an exec.
 */

#include "sshd/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/str.h"
#include "sshd/handoff.h"
#include "sshd/host_key.h"
#include "sshd/sandbox.h"

#define LISTENER_BACKLOG 128
/* A process that lives this much longer than its client's time to log in has lost its own clock. */
#define LISTENER_GRACE_EXTRA_SEC 3
/* Let a connection finish its handshake before another exec competes for the processor. */
#define LISTENER_REFILL_MSEC 150
/* After a failure of accept4(2) or of starting a process. */
#define LISTENER_PAUSE_MSEC 200

enum peer_state {
	PEER_FREE, /* the slot is not in use */
	PEER_SPARE,
	PEER_CLIENT,
};

struct peer {
	enum peer_state state;
	struct limits_entry entry;
	pid_t pid;
	int pidfd;
	int socket_fd; /* -EBADF once it has said all it can */
	bool ending;   /* killed or gone, not reaped yet: counts no longer */
};

struct listener {
	const struct listener_options *options;
	int listen_fds[SETTINGS_LISTEN_MAX];
	int signal_fd;
	int filter_fd;
	struct peer *peers;
	size_t peer_count;
	struct pollfd *polls; /* signal, listeners, then pidfd and socket of each peer */
	uint64_t refill_usec; /* when to look for missing spares */
	uint64_t pause_usec;  /* accept nothing before */
	uint64_t refused;     /* since the last line about it */
	uint64_t refused_logged_usec;
};

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static char *address_text(const struct sockaddr_storage *address)
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned int port = 0;

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		port = ntohs(in6->sin6_port);
	}
	return str_format("%s port %u", host, port);
}

static int bind_one(const struct settings_address *where, int *ret_fd, struct error *err)
{
	_cleanup_free_ char *text = address_text(&where->address);
	_cleanup_close_ int fd = -EBADF;
	const int on = 1;

	fd = socket(where->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0)
		return error_internal(err, -errno, "socket for %s", text ? text : "?");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (where->address.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *)&where->address, where->size) < 0 ||
	    listen(fd, LISTENER_BACKLOG) < 0)
		return error_internal(err, -errno, "listen on %s", text ? text : "?");
	log_info("listening on %s", text ? text : "?");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* sd_notify(3) is a datagram; a library for it would cost every connection. */
static void notify_ready(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -EBADF;
	size_t size = path ? strlen(path) : 0;

	if (size == 0 || size >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, size);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
		log_warning("cannot tell systemd that we are ready: %m, ignoring");
}

static void peer_release(struct peer *peer)
{
	fd_close(peer->pidfd);
	fd_close(peer->socket_fd);
	*peer = (struct peer){ .pidfd = -EBADF, .socket_fd = -EBADF };
}

static void peer_kill(struct peer *peer)
{
	(void)kill(peer->pid, SIGKILL); /* not reaped yet, so the pid is still its own */
	peer->ending = true;
}

static int spawn_process(int handoff_fd, struct peer *peer, struct error *err)
{
	static const char *const argv[] = { "hostkit-sshd", "--connection", NULL };
	_cleanup_free_ char *journal = NULL;
	const char *stream = getenv("JOURNAL_STREAM");
	const char *envp[] = { "PATH=/usr/bin:/bin", NULL, NULL };

	if (stream) {
		/* so that it writes log lines as this process does */
		journal = str_format("JOURNAL_STREAM=%s", stream);
		envp[1] = journal;
	}
	const struct process_plan plan = {
		.path = "/proc/self/exe", /* this program, also after an upgrade */
		.argv = argv,
		.envp = envp,
		.fds = { -1, -1, STDERR_FILENO, handoff_fd },
		.fd_count = HANDOFF_FD + 1,
	};

	return process_start(&plan, &peer->pid, &peer->pidfd, err);
}

static int spawn_spare(struct listener *l, struct peer *peer, struct error *err)
{
	const struct listener_options *o = l->options;
	const struct handoff_setup setup = {
		.users = (char *)o->users,
		.host_key_dir = (char *)o->host_key_dir,
		.socket = (char *)o->socket,
		.login_grace_sec = o->login_grace_sec,
		.idle_sec = o->idle_sec,
		.alive_sec = o->alive_sec,
		.channels = o->channels,
		.filter_fd = l->filter_fd,
	};
	_cleanup_close_ int here = -EBADF, there = -EBADF;
	int fds[2], r;

	r = packet_pair(fds);
	if (r < 0)
		return error_internal(err, r, "socket pair");
	here = fds[0];
	there = fds[1];
	r = handoff_send_setup(here, &setup);
	if (r < 0)
		return error_internal(err, r, "set up a connection process");
	r = spawn_process(there, peer, err);
	if (r < 0)
		return r;
	peer->socket_fd = TAKE_FD(here);
	peer->state = PEER_SPARE;
	return 0;
}

static struct peer *find_peer(struct listener *l, enum peer_state state)
{
	for (size_t i = 0; i < l->peer_count; i++)
		if (l->peers[i].state == state)
			return &l->peers[i];
	return NULL;
}

static size_t count_peers(const struct listener *l, enum peer_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < l->peer_count; i++)
		n += l->peers[i].state == state;
	return n;
}

/* Start what is missing of the spare processes. Returns 0 or the first failure. */
static int refill(struct listener *l)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	l->refill_usec = UINT64_MAX;
	while (count_peers(l, PEER_SPARE) < l->options->spares) {
		struct peer *peer = find_peer(l, PEER_FREE);
		int r = peer ? spawn_spare(l, peer, &err) : -ENOSPC;

		if (r < 0) {
			log_error(LOG_ERR, &err, "start a connection process");
			l->refill_usec = now_usec() + LISTENER_PAUSE_MSEC * 1000;
			return r;
		}
	}
	return 0;
}

static void note_refused(struct listener *l, const struct sockaddr_storage *address,
			 const char *what)
{
	_cleanup_free_ char *text = address_text(address);
	uint64_t now = now_usec();

	/* one line a second, so that a flood of connections is not a flood of lines */
	l->refused++;
	if (now - l->refused_logged_usec < 1000000)
		return;
	log_warning("%s: %s (%llu so far)", text ? text : "?", what,
		    (unsigned long long)l->refused);
	l->refused_logged_usec = now;
}

/* May the newcomer stay? Makes room for it if that is the verdict. */
static bool admit(struct listener *l, const struct limits_entry *newcomer,
		  const struct sockaddr_storage *address)
{
	_cleanup_free_ struct limits_entry *entries = NULL;
	_cleanup_free_ struct peer **who = NULL;
	uint32_t random = UINT32_MAX;
	size_t n = 0, victim;

	entries = calloc(l->peer_count, sizeof(*entries));
	who = calloc(l->peer_count, sizeof(struct peer *));
	if (!entries || !who)
		return false;
	for (size_t i = 0; i < l->peer_count; i++) {
		if (l->peers[i].state != PEER_CLIENT || l->peers[i].ending)
			continue;
		who[n] = &l->peers[i];
		entries[n++] = l->peers[i].entry;
	}
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK); /* else: no chance */

	switch (limits_admit(&l->options->limits, entries, n, newcomer, random,
			     &victim)) {
	case LIMITS_E_ADMIT:
		return true;
	case LIMITS_E_EVICT:
		note_refused(l, address, "a stalled connection makes room");
		peer_kill(who[victim]);
		return true;
	default:
		note_refused(l, address, "refused, too many connections");
		return false;
	}
}

static void hand_over(struct listener *l, int fd, const struct sockaddr_storage *address,
		      const struct limits_entry *newcomer)
{
	_cleanup_free_ char *text = address_text(address);
	struct handoff_client client = { .address = text, .fd = fd };
	struct peer *peer;

	while ((peer = find_peer(l, PEER_SPARE)) || refill(l) == 0) {
		if (!peer)
			continue;
		if (handoff_send_client(peer->socket_fd, &client) >= 0) {
			peer->state = PEER_CLIENT;
			peer->entry = *newcomer;
			break;
		}
		/* it has ended and is not reaped yet */
		peer->socket_fd = fd_close(peer->socket_fd);
		peer->state = PEER_CLIENT;
		peer->ending = true;
	}
	if (count_peers(l, PEER_SPARE) < l->options->spares &&
	    l->refill_usec == UINT64_MAX)
		l->refill_usec = now_usec() + LISTENER_REFILL_MSEC * 1000;
}

static void accept_one(struct listener *l, int listen_fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	_cleanup_close_ int fd = -EBADF;
	struct limits_entry newcomer;

	fd = accept4(listen_fd, (struct sockaddr *)&address, &size,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			log_err("accept: %m, waiting");
			l->pause_usec = now_usec() + LISTENER_PAUSE_MSEC * 1000;
		}
		return;
	}
	newcomer = (struct limits_entry){
		.source = limits_source_of(&address),
		.since_usec = now_usec(),
	};
	if (admit(l, &newcomer, &address))
		hand_over(l, fd, &address, &newcomer);
}

static void reap(struct listener *l, struct peer *peer)
{
	int status = process_wait(peer->pid);
	bool spare = peer->state == PEER_SPARE;

	if (status > 0 && status != 128 + SIGKILL)
		log_warning("connection process %d ended with status %d", peer->pid,
			    status);
	peer_release(peer);
	if (spare)
		l->refill_usec = now_usec() + LISTENER_PAUSE_MSEC * 1000;
}

static void serve_peer(struct listener *l, struct peer *peer, const struct pollfd *polls)
{
	if (polls[1].revents && peer->socket_fd >= 0 && peer->state == PEER_CLIENT) {
		int r = handoff_receive_authenticated(peer->socket_fd);

		peer->entry.authenticated |= r > 0;
		if (r != 0)
			peer->socket_fd = fd_close(peer->socket_fd);
	}
	if (polls[0].revents)
		reap(l, peer);
}

static uint64_t overdue_usec(const struct listener *l, const struct peer *peer)
{
	if (peer->state != PEER_CLIENT || peer->entry.authenticated || peer->ending)
		return UINT64_MAX;
	return peer->entry.since_usec +
	       ((uint64_t)l->options->login_grace_sec + LISTENER_GRACE_EXTRA_SEC) *
		       1000000;
}

/* Fill l->polls and find out how long to wait at most. */
static int prepare_polls(struct listener *l)
{
	uint64_t now = now_usec(), next = l->refill_usec;
	struct pollfd *p = l->polls;
	bool paused = l->pause_usec > now;

	if (paused && l->pause_usec < next)
		next = l->pause_usec;
	*p++ = (struct pollfd){ .fd = l->signal_fd, .events = POLLIN };
	for (size_t i = 0; i < l->options->listen_count; i++)
		*p++ = (struct pollfd){ .fd = paused ? -1 : l->listen_fds[i],
					.events = POLLIN };
	for (size_t i = 0; i < l->peer_count; i++) {
		struct peer *peer = &l->peers[i];

		*p++ = (struct pollfd){ .fd = peer->pidfd, .events = POLLIN };
		*p++ = (struct pollfd){
			.fd = peer->state == PEER_CLIENT ? peer->socket_fd : -1,
			.events = POLLIN,
		};
		if (overdue_usec(l, peer) < next)
			next = overdue_usec(l, peer);
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now) / 1000 + 1);
}

static void run_timers(struct listener *l)
{
	uint64_t now = now_usec();

	if (l->refill_usec <= now)
		(void)refill(l); /* has logged its failure and tries again */
	for (size_t i = 0; i < l->peer_count; i++) {
		if (overdue_usec(l, &l->peers[i]) > now)
			continue;
		peer_kill(&l->peers[i]);
	}
}

static int serve(struct listener *l, struct error *err)
{
	size_t listeners = l->options->listen_count;

	for (;;) {
		int timeout = prepare_polls(l);
		size_t count = 1 + listeners + 2 * l->peer_count;

		if (poll(l->polls, count, timeout) < 0 && errno != EINTR)
			return error_internal(err, -errno, "poll");
		if (l->polls[0].revents)
			return 0;
		for (size_t i = 0; i < l->peer_count; i++)
			if (l->peers[i].state != PEER_FREE)
				serve_peer(l, &l->peers[i],
					   l->polls + 1 + listeners + 2 * i);
		for (size_t i = 0; i < listeners; i++)
			if (l->polls[1 + i].revents)
				accept_one(l, l->listen_fds[i]);
		run_timers(l);
	}
}

static int open_signals(int *ret_fd, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return error_internal(err, -errno, "block signals");
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? error_internal(err, -errno, "signalfd") : 0;
}

static int prepare(struct listener *l, struct error *err)
{
	const struct listener_options *o = l->options;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < o->listen_count; i++)
		r = bind_one(&o->listen[i], &l->listen_fds[i], err);
	if (r >= 0)
		r = sandbox_drop_capabilities(err);
	if (r >= 0)
		r = host_key_ensure(o->host_key_dir, err);
	if (r >= 0)
		r = sandbox_filter(&l->filter_fd, err);
	if (r >= 0)
		r = open_signals(&l->signal_fd, err);
	if (r < 0)
		return r;

	/* room for the spares and for victims that are not reaped yet */
	l->peer_count = 2 * (size_t)o->limits.total + o->spares;
	l->peers = calloc(l->peer_count, sizeof(*l->peers));
	l->polls = calloc(1 + o->listen_count + 2 * l->peer_count, sizeof(*l->polls));
	if (!l->peers || !l->polls)
		return error_internal(err, -ENOMEM, "table of connections");
	for (size_t i = 0; i < l->peer_count; i++)
		l->peers[i] = (struct peer){ .pidfd = -EBADF, .socket_fd = -EBADF };
	return refill(l);
}

int listener_run(const struct listener_options *options, struct error *err)
{
	struct listener l = {
		.options = options,
		.signal_fd = -EBADF,
		.filter_fd = -EBADF,
		.refill_usec = UINT64_MAX,
	};
	int r;

	for (size_t i = 0; i < SETTINGS_LISTEN_MAX; i++)
		l.listen_fds[i] = -EBADF;
	r = prepare(&l, err);
	if (r >= 0) {
		notify_ready();
		r = serve(&l, err);
	}

	for (size_t i = 0; i < l.peer_count; i++) {
		if (l.peers[i].state == PEER_SPARE)
			peer_kill(&l.peers[i]);
		peer_release(&l.peers[i]);
	}
	for (size_t i = 0; i < SETTINGS_LISTEN_MAX; i++)
		fd_close(l.listen_fds[i]);
	free(l.peers);
	free(l.polls);
	fd_close(l.signal_fd);
	fd_close(l.filter_fd);
	return r;
}

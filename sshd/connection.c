/*
 * A connection process: prepares everything while it waits, enters the sandbox, is handed one client,
 * and ends with it. Runs as hostkit-sshd with no files and a handful of system calls; holds the host
 * keys, the client's socket, one request connection to hostkitd and what that hands over.
 *
 * The loop keeps libssh's rules: the session never blocks, callbacks only take notes, everything that
 * writes or frees happens at the top of the loop.
 */

#include "sshd/connection.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/log.h"
#include "sshd/host_key.h"
#include "sshd/internal.h"
#include "sshd/sandbox.h"
#include "sshd/userauth.h"

#define CONNECTION_KEX                                                       \
	"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256," \
	"ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512"
#define CONNECTION_CIPHERS                                      \
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com," \
	"aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
#define CONNECTION_MACS                                                \
	"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com," \
	"hmac-sha2-256,hmac-sha2-512"
#define CONNECTION_HOST_KEYS "ssh-ed25519,rsa-sha2-512,rsa-sha2-256"
#define CONNECTION_BANNER "HostKit"

/* An answer of hostkitd that takes longer will not come. */
#define CONNECTION_ANSWER_SEC 10
/* While hostkitd is not there, look for it this often. */
#define CONNECTION_RETRY_MSEC 500
/* Rounds that libssh may read on before other descriptors get their turn (4 KiB each). */
#define CONNECTION_ROUNDS 16
/* Unanswered signs of life until the peer counts as dead. */
#define CONNECTION_PROBES 3

uint64_t connection_now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void connection_log(const struct connection *c, int priority, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vformat(fmt, ap);
	va_end(ap);
	log_write(priority, "%s%s%s: %s", c->peer.address, c->auth.fingerprint ? " " : "",
		  c->auth.fingerprint ? c->auth.fingerprint : "",
		  text ? text : "out of memory");
}

/* Host keys go into the process before the sandbox closes the door to files. */
static int add_host_keys(ssh_bind bind, const char *dir, struct error *err)
{
	for (enum host_key_type t = 0; t < _HOST_KEY_TYPE_N; t++) {
		ssh_key key = NULL;
		int r = host_key_load(dir, t, &key, err);

		if (r < 0)
			return r;
		if (r == 0 && t == HOST_KEY_ED25519)
			return error_internal(err, -ENOENT, "host key in %s", dir);
		if (r == 0)
			continue;
		/* takes the key */
		if (ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) < 0)
			return error_internal(err, -EINVAL, "use host key: %s",
					      ssh_get_error(bind));
	}
	return 0;
}

static int set_bind_options(ssh_bind bind, struct error *err)
{
	static const struct {
		enum ssh_bind_options_e option;
		const char *value;
	} texts[] = {
		{ SSH_BIND_OPTIONS_BANNER, CONNECTION_BANNER },
		{ SSH_BIND_OPTIONS_KEY_EXCHANGE, CONNECTION_KEX },
		{ SSH_BIND_OPTIONS_CIPHERS_C_S, CONNECTION_CIPHERS },
		{ SSH_BIND_OPTIONS_CIPHERS_S_C, CONNECTION_CIPHERS },
		{ SSH_BIND_OPTIONS_HMAC_C_S, CONNECTION_MACS },
		{ SSH_BIND_OPTIONS_HMAC_S_C, CONNECTION_MACS },
		{ SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, CONNECTION_HOST_KEYS },
		{ SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, USERAUTH_ALGORITHMS },
	};
	const bool no_config = false;
	const int rsa_bits = USERAUTH_RSA_BITS_MIN;

	/* first, or /etc/ssh/libssh_server_config would be read */
	if (ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no_config) < 0 ||
	    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_RSA_MIN_SIZE, &rsa_bits) < 0)
		return error_internal(err, -EINVAL, "set up libssh: %s",
				      ssh_get_error(bind));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (ssh_bind_options_set(bind, texts[i].option, texts[i].value) < 0)
			return error_internal(err, -EINVAL, "set up libssh (%s): %s",
					      texts[i].value, ssh_get_error(bind));
	return 0;
}

static int set_session_options(ssh_session session, struct error *err)
{
	const bool no_config = false;

	/* compression before authentication is attack surface, and packs are compressed */
	if (ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no_config) < 0 ||
	    ssh_options_set(session, SSH_OPTIONS_COMPRESSION_C_S, "none") < 0 ||
	    ssh_options_set(session, SSH_OPTIONS_COMPRESSION_S_C, "none") < 0)
		return error_internal(err, -EINVAL, "set up libssh: %s",
				      ssh_get_error(session));
	return 0;
}

static int prepare_session(struct connection *c, ssh_bind bind, struct error *err)
{
	int r;

	c->session = ssh_new();
	c->event = ssh_event_new();
	if (!c->session || !c->event)
		return error_internal(err, -ENOMEM, "libssh session");
	r = set_bind_options(bind, err);
	if (r >= 0)
		r = add_host_keys(bind, c->setup.host_key_dir, err);
	if (r >= 0)
		r = set_session_options(c->session, err);
	return r;
}

/* Connect to hostkitd; NULL stays where it does not answer. */
static void connect_daemon(struct connection *c)
{
	const struct timeval patience = { .tv_sec = CONNECTION_ANSWER_SEC };
	_cleanup_error_ struct error err = ERROR_INIT;

	if (client_connect(c->setup.socket, &c->client, &err) < 0)
		return; /* tried again, and the client is told */
	if (setsockopt(client_fd(c->client), SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0 ||
	    setsockopt(client_fd(c->client), SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) < 0)
		c->client = client_free(c->client);
}

/*
 * Wait until the listener passes a client. Returns 1, or 0 when this process is not needed: the listener has
 * gone, or hostkitd has, and another process would get a fresh connection to it.
 */
static int wait_for_client(struct connection *c, struct error *err)
{
	for (;;) {
		struct pollfd polls[] = {
			{ .fd = HANDOFF_FD, .events = POLLIN },
			{ .fd = c->client ? client_fd(c->client) : -1, .events = POLLIN },
		};
		int r;

		if (poll(polls, ARRAY_SIZE(polls),
			 c->client ? -1 : CONNECTION_RETRY_MSEC) < 0 &&
		    errno != EINTR)
			return error_internal(err, -errno, "poll");
		if (polls[0].revents) {
			r = handoff_receive_client(HANDOFF_FD, &c->peer);
			return r < 0 ? error_internal(err, r, "receive a client") : r;
		}
		if (polls[1].revents)
			return 0;
		if (!c->client)
			connect_daemon(c);
		if (c->client) {
			r = sandbox_enter(c->setup.filter_fd, err);
			if (r < 0)
				return r;
			c->setup.filter_fd = fd_close(c->setup.filter_fd);
		}
	}
}

static void set_socket_options(int fd)
{
	const int on = 1, idle_sec = 60, interval_sec = 20, count = 6;
	const unsigned int unacknowledged_msec = 180000;

	/* none of them is worth losing the connection for */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_sec, sizeof(idle_sec));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_sec,
			 sizeof(interval_sec));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_msec,
			 sizeof(unacknowledged_msec));
}

/* The client holds its next packet back until the last was acknowledged: do not wait the usual 40 ms. */
static void acknowledge_at_once(const struct connection *c)
{
	const int on = 1;

	(void)setsockopt(c->peer.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static int begin_session(struct connection *c, ssh_bind bind, struct error *err)
{
	int r;

	set_socket_options(c->peer.fd);
	if (ssh_bind_accept_fd(bind, c->session, c->peer.fd) != SSH_OK)
		return error_internal(err, -EIO, "libssh: %s", ssh_get_error(bind));
	ssh_set_blocking(c->session, 0);
	ssh_set_counters(c->session, &c->traffic, NULL);

	c->server_callbacks.userdata = c;
	c->server_callbacks.size = sizeof(c->server_callbacks);
	r = auth_attach(c);
	if (r >= 0)
		r = channel_attach(c);
	if (r < 0)
		return error_internal(err, r, "attach to libssh");
	ssh_set_server_callbacks(c->session, &c->server_callbacks);

	c->started_usec = c->active_usec = c->heard_usec = connection_now_usec();
	/*
	 * Once, to send the banner; the callbacks do the rest of the key exchange. A client that has gone
	 * or sent nonsense already makes it fail, which the loop finds out.
	 */
	(void)ssh_handle_key_exchange(c->session);
	if (ssh_event_add_session(c->event, c->session) != SSH_OK)
		return error_internal(err, -EIO, "libssh: %s", ssh_get_error(c->session));
	return 0;
}

static bool session_over(struct connection *c)
{
	return !ssh_is_connected(c->session) ||
	       (ssh_get_status(c->session) & (SSH_CLOSED | SSH_CLOSED_ERROR)) ||
	       ssh_get_fd(c->session) < 0;
}

/* Let libssh read and write as long as there is something, but not for ever. */
static void drive(struct connection *c)
{
	for (int i = 0; i < CONNECTION_ROUNDS && !c->auth.hopeless; i++) {
		if (ssh_event_dopoll(c->event, 0) != SSH_OK)
			break;
		if (channel_count(c) == 0)
			acknowledge_at_once(c);
	}
	auth_settle(c);
}

static void say_goodbye(struct connection *c, const char *message)
{
	struct pollfd socket = { .fd = c->peer.fd, .events = POLLOUT };

	/* libssh writes the rest and the goodbye at once, or not at all */
	if (poll(&socket, 1, 100) > 0)
		(void)ssh_event_dopoll(c->event, 0);
	channel_forget_all(c);
	(void)ssh_session_set_disconnect_message(c->session, message);
	ssh_disconnect(c->session);
}

static uint64_t sec(uint32_t seconds)
{
	return (uint64_t)seconds * 1000000;
}

static void note_traffic(struct connection *c, uint64_t now)
{
	if (channel_count(c) > 0)
		c->active_usec = now;
	if (c->traffic.in_bytes == c->heard_bytes)
		return;
	c->heard_bytes = c->traffic.in_bytes;
	c->heard_usec = now;
	c->probes = 0;
}

/* When the next of the clocks below strikes. */
static uint64_t next_deadline(const struct connection *c)
{
	uint64_t next, idle;

	if (!c->auth.done)
		return c->started_usec + sec(c->setup.login_grace_sec);
	next = c->heard_usec + sec(c->setup.alive_sec) * (c->probes + 1);
	idle = c->active_usec + sec(c->setup.idle_sec);
	return channel_count(c) == 0 && idle < next ? idle : next;
}

/* Returns why the connection must end now, or NULL. */
static const char *check_clocks(struct connection *c, uint64_t now)
{
	if (c->exhausted)
		return "out of memory";
	if (c->auth.hopeless)
		return c->auth.done ? "protocol violated"
		       : c->client  ? "too many attempts"
				    : "HostKit is being restarted, try again in a moment";
	if (!c->auth.done)
		return now >= next_deadline(c) ? "not logged in in time" : NULL;
	if (channel_count(c) == 0) {
		if (!c->client)
			return "HostKit was restarted";
		if (now >= c->active_usec + sec(c->setup.idle_sec))
			return "idle";
	}
	if (now < c->heard_usec + sec(c->setup.alive_sec) * (c->probes + 1))
		return NULL;
	if (c->probes++ >= CONNECTION_PROBES)
		return "peer does not answer";
	/* the first call may only collect the answer to the question before */
	(void)ssh_send_keepalive(c->session);
	(void)ssh_send_keepalive(c->session);
	return NULL;
}

/* What a key exchange leaves behind is a third of the memory of an idle connection. */
static void release_memory(struct connection *c)
{
	free(TAKE_PTR(c->chunk));
	(void)malloc_trim(0);
}

static const char *serve(struct connection *c)
{
	size_t count = 1 + (size_t)c->setup.channels * CHANNEL_POLLS;
	_cleanup_free_ struct pollfd *polls = calloc(count, sizeof(*polls));
	bool lean = false;

	if (!polls)
		return "out of memory";
	for (;;) {
		uint64_t now = connection_now_usec(), deadline;
		const char *why;

		note_traffic(c, now);
		why = check_clocks(c, now);
		if (why)
			return why;
		if (session_over(c))
			return NULL;

		polls[0] = (struct pollfd){ .fd = c->peer.fd, .events = POLLIN };
		if (ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING)
			polls[0].events |= POLLOUT;
		channel_polls(c, polls + 1);
		deadline = next_deadline(c);
		if (channel_deadline(c) < deadline)
			deadline = channel_deadline(c);
		if (poll(polls, count,
			 deadline > now ? (int)((deadline - now) / 1000 + 1) : 0) < 0 &&
		    errno != EINTR)
			return "poll failed";
		if (polls[0].revents)
			drive(c);
		if (session_over(c))
			return NULL;
		channel_serve_all(c, polls + 1);
		/* lets libssh send on, and collects that the socket has room again */
		if (ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING)
			(void)ssh_event_dopoll(c->event, 0);
		if (channel_count(c) > 0)
			lean = false;
		else if (c->auth.done && !lean) {
			release_memory(c);
			lean = true;
		}
	}
}

static void finish(struct connection *c, const char *why)
{
	if (why) {
		connection_log(c, LOG_INFO, "closed: %s", why);
		say_goodbye(c, why);
	} else if (c->auth.done) {
		connection_log(c, LOG_DEBUG, "closed by the client");
	} else {
		connection_log(c, LOG_INFO, "closed before login");
	}
}

static int run(struct connection *c, ssh_bind bind, struct error *err)
{
	int r = prepare_session(c, bind, err);

	if (r < 0)
		return r;
	connect_daemon(c);
	if (c->client)
		r = sandbox_enter(c->setup.filter_fd, err);
	if (r < 0)
		return r;
	if (c->client)
		c->setup.filter_fd = fd_close(c->setup.filter_fd);
	r = wait_for_client(c, err);
	if (r <= 0)
		return r;
	if (c->setup.filter_fd >= 0) {
		r = sandbox_enter(c->setup.filter_fd, err);
		if (r < 0)
			return r;
	}
	r = begin_session(c, bind, err);
	if (r < 0)
		return r;
	finish(c, serve(c));
	return 0;
}

int connection_main(void)
{
	struct connection c = {
		.setup = { .filter_fd = -EBADF },
		.peer = { .fd = -EBADF },
	};
	_cleanup_error_ struct error err = ERROR_INIT;
	ssh_bind bind;
	int r;

	log_setup("hostkit-sshd", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
	r = handoff_receive_setup(HANDOFF_FD, &c.setup);
	if (r <= 0)
		return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;

	/* messages, names and configuration files of OpenSSL would stay in memory for nothing */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
					  OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
					  OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
					  OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
				  NULL);
	(void)mallopt(M_MMAP_THRESHOLD, 32 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 32 * 1024);
	if (ssh_init() != SSH_OK)
		return EXIT_FAILURE;
	bind = ssh_bind_new();
	if (!bind)
		return EXIT_FAILURE;
	r = run(&c, bind, &err);
	if (r < 0)
		log_error(LOG_ERR, &err, "%s",
			  c.peer.address ? c.peer.address : "connection process");

	channel_free_all(&c);
	auth_done(&c.auth);
	client_free(c.client);
	/* the process ends: the session goes with it, and its socket */
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

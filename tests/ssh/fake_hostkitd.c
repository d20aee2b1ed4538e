/*
 * The far end of hostkit-sshd's requests, for tests of the transport alone: knows keys from a file, answers
 * AUTH_PROBE, AUTH_KEY, OPEN_GIT and OPEN_VERB as protocol/request.h has them, and starts processes that
 * read, write and end in every way a real one could. Tests of the whole use the real hostkitd.
 *
 * fake_hostkitd SOCKET KEYS REPOSITORIES
 *	KEYS: lines of "BASE64 NAME"; read again at every question. REPOSITORIES: directory with P.git.
 */

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/packet.h"
#include "base/str.h"
#include "base/wire.h"
#include "protocol/request.h"

struct peer {
	int fd;
	const char *keys;
	const char *repositories;
	char *name; /* of the key, once it has signed */
};

static char *find_key(const struct peer *peer, const uint8_t *blob, size_t size)
{
	_cleanup_free_ char *base64 = malloc(size * 2 + 8);
	FILE *f = fopen(peer->keys, "re");
	char *line = NULL, *found = NULL;
	size_t room = 0;

	if (!f || !base64)
		abort();
	EVP_EncodeBlock((uint8_t *)base64, blob, (int)size);
	while (!found && getline(&line, &room, f) > 0) {
		char *name = strchr(line, ' ');

		if (!name)
			continue;
		*name++ = '\0';
		name[strcspn(name, "\n")] = '\0';
		if (str_equal(line, base64))
			found = strdup(name);
	}
	free(line);
	(void)fclose(f);
	return found;
}

static void answer(struct peer *peer, uint32_t op, uint32_t serial, int status,
		   const struct strbuf *body, const int *fds, size_t fd_count)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_u32(&message, op);
	wire_put_u32(&message, serial);
	wire_put_u32(&message, (uint32_t)status);
	if (body)
		strbuf_append(&message, strbuf_get(body), body->size);
	if (packet_send(peer->fd, message.data, message.size, fds, fd_count) < 0)
		_exit(1);
}

static void answer_error(struct peer *peer, uint32_t op, uint32_t serial, int status,
			 const char *code, const char *message)
{
	_cleanup_strbuf_ struct strbuf body = { 0 };

	wire_put_string(&body, code);
	wire_put_string(&body, message);
	wire_put_string(&body, "");
	answer(peer, op, serial, status, &body, NULL, 0);
}

/* Bytes that show a loss, a repetition or a swap: a counter every eight bytes. */
static void source(size_t size)
{
	uint64_t block[8192];
	uint64_t n = 0;

	while (size > 0) {
		size_t part = size < sizeof(block) ? size : sizeof(block);

		for (size_t i = 0; i < ARRAY_SIZE(block); i++)
			block[i] = n++;
		if (io_write_all(STDOUT_FILENO, block, part) < 0)
			_exit(9);
		size -= part;
	}
}

/* Read to the end, compare with source(), report. */
static int sink(void)
{
	uint8_t block[65536];
	uint64_t at = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, block, sizeof(block))) > 0) {
		for (ssize_t i = 0; i < n; i++, at++) {
			uint64_t word = at / 8;

			if (block[i] != (uint8_t)(word >> (8 * (at % 8)))) {
				(void)printf("wrong at %llu\n", (unsigned long long)at);
				return 1;
			}
		}
	}
	(void)printf("%llu\n", (unsigned long long)at);
	return 0;
}

static void nap(const char *msec)
{
	unsigned long n = strtoul(msec, NULL, 10);
	struct timespec ts = { .tv_sec = (time_t)(n / 1000),
			       .tv_nsec = (long)(n % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

static int copy(void)
{
	uint8_t block[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, block, sizeof(block))) > 0)
		if (io_write_all(STDOUT_FILENO, block, (size_t)n) < 0)
			return 9;
	return 0;
}

static int both(size_t lines)
{
	for (size_t i = 0; i < lines; i++) {
		(void)printf("out %zu\n", i);
		(void)fprintf(stderr, "err %zu\n", i);
	}
	return 0;
}

/* What the tests ask for. */
static int act(const struct peer *peer, bool terminal, char **words, uint32_t count)
{
	const char *verb = count > 0 ? words[0] : "help";
	const char *arg = count > 1 ? words[1] : "0";

	if (str_equal(verb, "whoami")) {
		(void)printf("%s\n", peer->name);
	} else if (str_equal(verb, "exit")) {
		return (int)strtoul(arg, NULL, 10);
	} else if (str_equal(verb, "signal")) {
		(void)raise((int)strtoul(arg, NULL, 10));
	} else if (str_equal(verb, "cat")) {
		return copy();
	} else if (str_equal(verb, "source")) {
		source(strtoul(arg, NULL, 10));
		return count > 2 ? (int)strtoul(words[2], NULL, 10) : 0;
	} else if (str_equal(verb, "tap")) {
		/* source, once it is turned on */
		(void)getchar();
		source(strtoul(arg, NULL, 10));
	} else if (str_equal(verb, "sink")) {
		return sink();
	} else if (str_equal(verb, "both")) {
		return both(strtoul(arg, NULL, 10));
	} else if (str_equal(verb, "sleep")) {
		nap(arg);
	} else if (str_equal(verb, "late")) {
		/* ends its output long before itself */
		(void)printf("early\n");
		(void)fflush(stdout);
		(void)shutdown(STDOUT_FILENO, SHUT_WR);
		(void)close(STDERR_FILENO);
		nap(arg);
		return 4;
	} else if (str_equal(verb, "deaf")) {
		/* reads nothing, says so, and ends a little later */
		(void)shutdown(STDIN_FILENO, SHUT_RD);
		nap(arg);
		(void)printf("deaf\n");
	} else if (str_equal(verb, "witness")) {
		/* leaves a file when its input ends */
		(void)copy();
		FILE *f = fopen(arg, "we");

		if (f)
			(void)fclose(f);
	} else {
		(void)printf("terminal=%d\n", terminal);
		for (uint32_t i = 0; i < count; i++)
			(void)printf("word=<%s>\n", words[i]);
	}
	return 0;
}

static int verb(const struct peer *peer, int words_fd)
{
	_cleanup_packet_ struct packet packet = { 0 };
	char *words[1024] = { 0 };
	struct wire w;
	uint32_t count;
	bool terminal;
	int status;

	if (packet_receive(words_fd, &packet) <= 0)
		return 99;
	w = wire_reader(packet.data, packet.size);
	terminal = wire_bool(&w);
	count = wire_u32(&w);
	for (uint32_t i = 0; i < count && i < ARRAY_SIZE(words); i++)
		words[i] = wire_string(&w, WIRE_MESSAGE_MAX);
	if (wire_end(&w) < 0)
		return 98;
	status = act(peer, terminal, words, count);
	(void)fflush(stdout);
	return status;
}

static void exec_git(const struct peer *peer, uint32_t service, const char *project,
		     uint32_t protocol)
{
	_cleanup_free_ char *path = str_format("%s/%s.git", peer->repositories, project);
	_cleanup_free_ char *version = str_format("GIT_PROTOCOL=version=%u", protocol);
	char *envp[] = { version,
			 (char *)"PATH=/usr/bin:/bin",
			 (char *)"GIT_CONFIG_COUNT=1",
			 (char *)"GIT_CONFIG_KEY_0=safe.directory",
			 (char *)"GIT_CONFIG_VALUE_0=*",
			 NULL };

	execle("/usr/bin/git", "git",
	       service == GIT_SERVICE_RECEIVE ? "receive-pack" : "upload-pack", path,
	       (char *)NULL, envp);
}

struct order {
	bool git;
	uint32_t service;
	uint32_t protocol;
	const char *project;
};

static _Noreturn void child(const struct peer *peer, const struct order *order,
			    const int *theirs)
{
	(void)dup2(theirs[0], 0);
	(void)dup2(theirs[0], 1);
	(void)dup2(theirs[1], 2);
	(void)close(theirs[0]);
	(void)close(theirs[1]);
	(void)close(theirs[2]);
	(void)close(peer->fd);
	if (order->git)
		exec_git(peer, order->service, order->project, order->protocol);
	else
		_exit(verb(peer, theirs[3]));
	_exit(127);
}

/* One that waits for the process and reports, so that this loop goes on. */
static void start(struct peer *peer, uint32_t op, uint32_t serial,
		  const struct order *order)
{
	int stream[2], errors[2], status[2], words[2];
	_cleanup_strbuf_ struct strbuf report = { 0 };
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) < 0 || pipe(errors) < 0 ||
	    packet_pair(status) < 0 || packet_pair(words) < 0)
		abort();
	const int ours[] = { stream[0], errors[0], status[0], words[0] };
	const int theirs[] = { stream[1], errors[1], status[1], words[1] };

	answer(peer, op, serial, 0, NULL, ours, order->git ? 3 : 4);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)close(ours[i]);
	if (fork() == 0) {
		pid = fork();
		if (pid == 0)
			child(peer, order, theirs);
		(void)close(theirs[0]);
		(void)close(theirs[1]);
		(void)close(theirs[3]);
		(void)close(peer->fd);
		if (waitpid(pid, &r, 0) < 0)
			abort();
		wire_put_u32(&report, (uint32_t)(WIFSIGNALED(r) ? 128 + WTERMSIG(r)
								: WEXITSTATUS(r)));
		(void)!packet_send(theirs[2], report.data, report.size, NULL, 0);
		_exit(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
		(void)close(theirs[i]);
}

static void auth(struct peer *peer, uint32_t op, uint32_t serial, struct wire *w)
{
	_cleanup_strbuf_ struct strbuf body = { 0 };
	size_t size;
	const uint8_t *blob = wire_bytes(w, REQUEST_KEY_BLOB_MAX, &size);
	_cleanup_free_ char *name = find_key(peer, blob, size);

	if (op == REQUEST_AUTH_PROBE) {
		if (wire_end(w) < 0)
			_exit(1);
		wire_put_bool(&body, name != NULL);
	} else {
		free(wire_string(w, REQUEST_TEXT_MAX));
		if (wire_end(w) < 0)
			_exit(1);
		if (!name) {
			answer_error(peer, op, serial, -EACCES, "KEY_UNKNOWN", "unknown");
			return;
		}
		wire_put_string(&body, name);
		peer->name = TAKE_PTR(name);
	}
	answer(peer, op, serial, 0, &body, NULL, 0);
}

static void handle(struct peer *peer, struct packet *packet)
{
	struct wire w = wire_reader(packet->data, packet->size);
	uint32_t op = wire_u32(&w), serial = wire_u32(&w);
	_cleanup_free_ char *project = NULL;
	struct order order = { 0 };

	if (!peer->name && (op == REQUEST_AUTH_PROBE || op == REQUEST_AUTH_KEY)) {
		auth(peer, op, serial, &w);
	} else if (peer->name && op == REQUEST_OPEN_GIT) {
		order.git = true;
		order.service = wire_u32(&w);
		order.project = project = wire_string(&w, REQUEST_NAME_MAX);
		order.protocol = wire_u32(&w);
		if (wire_end(&w) < 0)
			_exit(1);
		if (str_equal(project, "missing"))
			answer_error(peer, op, serial, -ENOENT, "PROJECT_NOT_FOUND",
				     "project 'missing' does not exist");
		else if (str_equal(project, "busy"))
			answer_error(peer, op, serial, -EBUSY, "PROJECT_LOCKED",
				     "job 1 is at work on 'busy'");
		else if (str_equal(project, "often"))
			answer_error(peer, op, serial, -EAGAIN, "RATE_LIMIT_EXCEEDED",
				     "too many commands at once");
		else
			start(peer, op, serial, &order);
	} else if (peer->name && op == REQUEST_OPEN_VERB) {
		start(peer, op, serial, &order);
	} else {
		_exit(1); /* out of phase */
	}
}

int main(int argc, char *argv[])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	if (argc != 4 || fd < 0 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	(void)signal(SIGCHLD, SIG_IGN);
	(void)unlink(argv[1]);
	memcpy(address.sun_path, argv[1], strlen(argv[1]));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(argv[1], 0666) < 0 || listen(fd, 64) < 0)
		return 1;
	for (;;) {
		struct peer peer = { .fd = accept(fd, NULL, NULL),
				     .keys = argv[2],
				     .repositories = argv[3] };

		if (peer.fd < 0)
			continue;
		if (fork() == 0) {
			struct packet packet;

			(void)close(fd);
			(void)signal(SIGCHLD, SIG_DFL);
			while (packet_receive(peer.fd, &packet) > 0) {
				handle(&peer, &packet);
				packet_done(&packet);
			}
			_exit(0);
		}
		(void)close(peer.fd);
	}
}

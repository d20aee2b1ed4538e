/*
 * A TCP proxy that holds every byte back for a while, as a long way would: for measuring how protocols behave
 * over a round trip where the kernel has no netem. Bandwidth is not limited.
 *
 * delay_proxy LISTEN_PORT TARGET_PORT MSEC: loopback only, MSEC each way.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"

/* What one direction may hold: enough for 1 GB/s at 25 ms. */
#define QUEUE_BYTES (32u * 1024 * 1024)
#define QUEUE_PARTS 65536u

struct part {
	uint64_t due_usec;
	size_t size; /* 0: end of the stream */
};

struct way {
	int from, to;
	uint8_t *bytes; /* a ring */
	size_t head, used;
	struct part *parts; /* a ring too */
	size_t first, count;
	bool ended, done;
};

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void take(struct way *way, uint64_t delay_usec)
{
	size_t tail = (way->head + way->used) % QUEUE_BYTES;
	size_t room = QUEUE_BYTES - way->used;
	ssize_t n;

	if (tail + room > QUEUE_BYTES)
		room = QUEUE_BYTES - tail;
	n = read(way->from, way->bytes + tail, room);
	if (n < 0)
		n = 0;
	way->ended = n == 0;
	way->parts[(way->first + way->count++) % QUEUE_PARTS] =
		(struct part){ .due_usec = now_usec() + delay_usec, .size = (size_t)n };
	way->used += (size_t)n;
}

/* Pass on what is due. Returns when the next part is due, UINT64_MAX for none. */
static uint64_t give(struct way *way)
{
	while (way->count > 0 && !way->done) {
		struct part *part = &way->parts[way->first];
		size_t size = part->size;
		ssize_t n;

		if (part->due_usec > now_usec())
			return part->due_usec;
		if (size == 0) {
			(void)shutdown(way->to, SHUT_WR);
			way->done = true;
			break;
		}
		if (way->head + size > QUEUE_BYTES)
			size = QUEUE_BYTES - way->head;
		n = send(way->to, way->bytes + way->head, size,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN)
				return now_usec() + 200;
			way->done = true;
			break;
		}
		way->head = (way->head + (size_t)n) % QUEUE_BYTES;
		way->used -= (size_t)n;
		part->size -= (size_t)n;
		if (part->size == 0) {
			way->first = (way->first + 1) % QUEUE_PARTS;
			way->count--;
		}
	}
	return UINT64_MAX;
}

static struct way way_new(int from, int to)
{
	struct way way = { .from = from, .to = to };

	way.bytes = malloc(QUEUE_BYTES);
	way.parts = calloc(QUEUE_PARTS, sizeof(*way.parts));
	if (!way.bytes || !way.parts)
		abort();
	return way;
}

static void relay(int a, int b, uint64_t delay_usec)
{
	struct way ways[] = { way_new(a, b), way_new(b, a) };

	while (!ways[0].done || !ways[1].done) {
		struct pollfd polls[ARRAY_SIZE(ways)];
		uint64_t next = UINT64_MAX, now;
		struct timespec wait;

		for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
			uint64_t due = give(&ways[i]);
			bool room =
				ways[i].used < QUEUE_BYTES && ways[i].count < QUEUE_PARTS;

			next = due < next ? due : next;
			polls[i] = (struct pollfd){
				.fd = ways[i].ended || !room ? -1 : ways[i].from,
				.events = POLLIN,
			};
		}
		now = now_usec();
		next = next == UINT64_MAX ? 1000000 : next > now ? next - now : 0;
		wait = (struct timespec){ .tv_sec = (time_t)(next / 1000000),
					  .tv_nsec = (long)(next % 1000000) * 1000 };
		if (ppoll(polls, ARRAY_SIZE(polls), &wait, NULL) <= 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
			if (polls[i].revents)
				take(&ways[i], delay_usec);
	}
}

static int loopback(uint16_t port, bool serve)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int on = 1;
	int r;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	r = serve ? bind(fd, (struct sockaddr *)&address, sizeof(address))
		  : connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0 || (serve && listen(fd, 16) < 0)) {
		perror("delay_proxy");
		_exit(1);
	}
	return fd;
}

int main(int argc, char *argv[])
{
	int listener, client;

	if (argc != 4) {
		(void)fputs("usage: delay_proxy LISTEN_PORT TARGET_PORT MSEC\n", stderr);
		return 2;
	}
	(void)signal(SIGCHLD, SIG_IGN);
	listener = loopback((uint16_t)strtoul(argv[1], NULL, 10), true);
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		if (fork() == 0) {
			relay(client,
			      loopback((uint16_t)strtoul(argv[2], NULL, 10), false),
			      strtoul(argv[3], NULL, 10) * 1000);
			_exit(0);
		}
		(void)close(client);
	}
	return 1;
}

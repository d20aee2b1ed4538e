/*
 * The relay between a channel and the process behind it. Keeps true: bytes are neither lost nor reordered,
 * also when libssh takes less than it was given (it takes nothing while keys are renewed), and
 * neither side can make this process hold more than a window of the other's bytes.
 */

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "sshd/internal.h"

/* Open the window again whenever this much has been consumed. */
#define RELAY_REOPEN (256u * 1024)
/* How long the end of the output waits for the exit status. */
#define RELAY_EOF_USEC 200000
/* What a terminal in raw mode sends for Ctrl-C and Ctrl-D; there is no terminal here to interpret them. */
#define KEY_INTERRUPT '\003'
#define KEY_END '\004'
#define STATUS_INTERRUPTED (128 + 2)

static uint8_t *relay_chunk(struct connection *c)
{
	if (!c->chunk)
		c->chunk = malloc(RELAY_CHUNK);
	return c->chunk;
}

static bool session_dead(const struct channel *channel)
{
	return !ssh_is_connected(channel->connection->session);
}

static size_t waiting(const struct channel *channel)
{
	return channel->inbound_size - channel->inbound_at;
}

/* Nothing more goes to the process. */
static void close_input(struct channel *channel)
{
	if (channel->stream_fd >= 0)
		(void)shutdown(channel->stream_fd, SHUT_WR); /* it may be gone already */
	channel->input_closed = true;
	channel->inbound_at = channel->inbound_size;
}

/* Returns how much the process took; all of it if it wants none any more. */
static size_t give(struct channel *channel, const void *data, size_t size)
{
	ssize_t n;

	do
		n = send(channel->stream_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0) {
		channel->input_closed = true;
		return size;
	}
	channel->consumed += (size_t)n;
	return (size_t)n;
}

size_t relay_direct(struct channel *channel, const void *data, size_t size)
{
	size_t taken;

	if (size > RELAY_WINDOW + RELAY_WINDOW_SLACK)
		channel->connection->auth.hopeless = true; /* ignores its window */
	if (channel->state >= CHANNEL_ENDING || channel->input_closed)
		return size;
	if (channel->state != CHANNEL_RUNNING || waiting(channel) > 0 ||
	    channel->inbound_left || channel->terminal) {
		channel->inbound_left = true;
		return 0;
	}
	taken = give(channel, data, size);
	channel->inbound_left = taken < size;
	return taken;
}

static void interpret_keys(struct channel *channel)
{
	if (memchr(channel->inbound, KEY_INTERRUPT, channel->inbound_size)) {
		close_input(channel);
		channel->ended = true;
		channel->status = STATUS_INTERRUPTED;
		channel->output_ended = true;
		channel->errors_ended = true;
		channel->status_fd = fd_close(channel->status_fd);
	} else if (memchr(channel->inbound, KEY_END, channel->inbound_size)) {
		close_input(channel);
	}
}

/*
 * Take all that libssh holds. All, because at every read libssh opens the window anew without counting what
 * it still holds: reading a little at a time would let a client fill the memory behind a slow process.
 */
static int fetch(struct channel *channel)
{
	int n = ssh_channel_poll(channel->ssh, 0);

	channel->inbound_left = false;
	if (n <= 0)
		return session_dead(channel) ? -EPIPE : 0;
	free(channel->inbound);
	channel->inbound_at = channel->inbound_size = 0;
	channel->inbound = malloc((size_t)n);
	if (!channel->inbound)
		return -ENOMEM;
	n = ssh_channel_read_timeout(channel->ssh, channel->inbound, (uint32_t)n, 0, 0);
	if (n < 0)
		return session_dead(channel) ? -EPIPE : 0;
	channel->inbound_size = (size_t)n;
	if (channel->input_closed)
		channel->inbound_at = channel->inbound_size;
	else if (channel->terminal)
		interpret_keys(channel);
	return 0;
}

/*
 * The window of libssh 0.10 is 1.25 MB, too little for long ways, and has no option. But a read grows it to
 * the size that is asked for; with nothing left to read that is all the read does.
 */
static int reopen_window(struct channel *channel)
{
	struct connection *c = channel->connection;
	int n;

	if (channel->consumed < RELAY_REOPEN || channel->remote_eof)
		return 0;
	if (!c->window) {
		void *map = mmap(NULL, RELAY_WINDOW, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (map == MAP_FAILED)
			return 0; /* a small window works too */
		c->window = map;
	}
	channel->consumed = 0;
	/* whatever arrives during the call must stay behind what it returns */
	channel->inbound_left = true;
	n = ssh_channel_read_timeout(channel->ssh, c->window, RELAY_WINDOW, 0, 0);
	if (n <= 0)
		return n < 0 && session_dead(channel) ? -EPIPE : 0;
	channel->inbound = malloc((size_t)n);
	if (!channel->inbound)
		return -ENOMEM;
	memcpy(channel->inbound, c->window, (size_t)n);
	channel->inbound_size = (size_t)n;
	return 0;
}

int relay_input(struct channel *channel)
{
	int r;

	while (waiting(channel) > 0 || channel->inbound_left) {
		size_t taken;

		if (waiting(channel) == 0) {
			r = fetch(channel);
			if (r < 0)
				return r;
			continue;
		}
		taken = give(channel, channel->inbound + channel->inbound_at,
			     waiting(channel));
		if (taken == 0)
			return 0;
		channel->inbound_at += taken;
	}
	free(TAKE_PTR(channel->inbound));
	channel->inbound_at = channel->inbound_size = 0;
	if (channel->remote_eof && !channel->input_closed)
		close_input(channel);
	return channel->input_closed ? 0 : reopen_window(channel);
}

bool relay_can_send(const struct channel *channel)
{
	return !(ssh_get_poll_flags(channel->connection->session) & SSH_WRITE_PENDING) &&
	       ssh_channel_window_size(channel->ssh) > 0 && !channel->remote_closed;
}

/* Give libssh what waits in buf. Returns 0 when all is taken, 1 when some is left, or -EPIPE. */
static int flush(struct channel *channel, struct strbuf *buf, bool errors)
{
	int n;

	if (buf->size == 0)
		return 0;
	if (!relay_can_send(channel))
		return 1;
	n = errors ? ssh_channel_write_stderr(channel->ssh, strbuf_get(buf),
					      (uint32_t)buf->size)
		   : ssh_channel_write(channel->ssh, strbuf_get(buf),
				       (uint32_t)buf->size);
	if (n < 0)
		return -EPIPE;
	strbuf_consume(buf, (size_t)n);
	return buf->size > 0;
}

/* In a terminal in raw mode a line feed only goes down. */
static void append_lines(struct strbuf *buf, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n')
			strbuf_char(buf, '\r');
		strbuf_char(buf, (char)data[i]);
	}
}

/* Take one chunk from the process. Returns 0 or -ENOMEM; *ended once there is nothing more to come. */
static int take(struct channel *channel, int fd, struct strbuf *buf, bool *ended)
{
	uint8_t *chunk = relay_chunk(channel->connection);
	size_t size = channel->terminal ? RELAY_CHUNK / 2 : RELAY_CHUNK;
	ssize_t n;

	if (!chunk)
		return -ENOMEM;
	do
		n = read(fd, chunk, size);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		*ended |= channel->ended;
		return 0;
	}
	if (n <= 0) {
		*ended = true;
		return 0;
	}
	if (channel->terminal)
		append_lines(buf, chunk, (size_t)n);
	else
		strbuf_append(buf, chunk, (size_t)n);
	return strbuf_failed(buf) ? -ENOMEM : 0;
}

static int pump(struct channel *channel, bool readable, bool errors)
{
	struct strbuf *buf = errors ? &channel->errors : &channel->outbound;
	bool *ended = errors ? &channel->errors_ended : &channel->output_ended;
	int r;

	r = flush(channel, buf, errors);
	if (r != 0)
		return r < 0 ? r : 0;
	if (*ended || !readable || !relay_can_send(channel))
		return 0;
	r = take(channel, errors ? channel->errors_fd : channel->stream_fd, buf, ended);
	if (r < 0)
		return r;
	r = flush(channel, buf, errors);
	return r < 0 ? r : 0;
}

/*
 * Some clients close a channel at its EOF and then know no exit status. Most processes end with their
 * output, so give the status a moment to come first.
 */
static void pass_end(struct channel *channel)
{
	uint64_t now = connection_now_usec();

	if (channel->eof_usec == 0)
		channel->eof_usec = now + RELAY_EOF_USEC;
	if (channel->eof_usec > now || channel->eof_usec == UINT64_MAX)
		return;
	channel->eof_usec = UINT64_MAX;
	(void)ssh_channel_send_eof(
		channel->ssh); /* a dead session is noticed elsewhere */
}

int relay_output(struct channel *channel, bool readable, bool errors_readable)
{
	int r = pump(channel, readable, false);

	if (r >= 0)
		r = pump(channel, errors_readable, true);
	/* a channel that was closed meanwhile is no reason to end the session */
	if (r < 0 && !session_dead(channel)) {
		channel->remote_closed |= r == -EPIPE;
		return r == -EPIPE ? 0 : r;
	}
	if (r >= 0 && !channel->ended && channel->output_ended && channel->errors_ended &&
	    channel->outbound.size == 0 && channel->errors.size == 0)
		pass_end(channel);
	return r;
}

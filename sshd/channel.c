/*
 * Session channels: what a client may ask for, and their life from open to close. libssh calls back from
 * within its packet handling, where nothing may be written or freed: the callbacks only note what
 * was asked, channel_serve_all() acts on it from the top of the loop.
 */

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/packet.h"
#include "protocol/status.h"
#include "sshd/exec_line.h"
#include "sshd/internal.h"

/* See auth.c. */
void ssh_packet_set_callbacks(ssh_session session, ssh_packet_callbacks callbacks);

/* SSH_MSG_CHANNEL_OPEN and SSH_MSG_CHANNEL_REQUEST, RFC 4254 9; between them lies what nobody looks at. */
#define CHANNEL_PACKET_OPEN 90
#define CHANNEL_PACKET_REQUEST 98
#define CHANNEL_PACKET_COUNT (CHANNEL_PACKET_REQUEST - CHANNEL_PACKET_OPEN + 1)

/* A client that has closed its side waits for ours; this long its process may take to end. */
#define CHANNEL_CLOSE_USEC 2000000

/* Every client takes 32768 (RFC 4253 6.1); libssh subtracts 10 and would send empty packets for ever. */
#define CHANNEL_PACKET_SIZE_MIN 1024u

static void channel_destroy(struct channel *channel)
{
	if (channel->ssh) {
		ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
		ssh_channel_free(channel->ssh);
	}
	fd_close(channel->stream_fd);
	fd_close(channel->errors_fd);
	fd_close(channel->status_fd);
	free(channel->inbound);
	strbuf_done(&channel->outbound);
	strbuf_done(&channel->errors);
	free(channel->command);
	free(channel);
}

static uint32_t get_u32(const uint8_t *data)
{
	return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
	       (uint32_t)data[2] << 8 | data[3];
}

/* {string type, u32 channel, u32 window, u32 largest packet, ...} */
static int on_open_packet(ssh_session session _unused_, uint8_t type _unused_,
			  ssh_buffer packet, void *userdata)
{
	struct connection *c = userdata;
	const uint8_t *data = ssh_buffer_get(packet);
	size_t size = ssh_buffer_get_len(packet);
	size_t name = size >= 4 ? get_u32(data) : SIZE_MAX;

	if (size < 16 || name > size - 16 ||
	    get_u32(data + 4 + name + 8) < CHANNEL_PACKET_SIZE_MIN) {
		c->auth.hopeless = true;
		return SSH_PACKET_USED;
	}
	return SSH_PACKET_NOT_USED;
}

/*
 * libssh hands texts on as C strings, so that a NUL inside would hide what follows it. Look before
 * libssh does; behind {u32 channel, string type, bool reply} all strings are text in the requests we grant.
 */
static int on_request_packet(ssh_session session _unused_, uint8_t type _unused_,
			     ssh_buffer packet, void *userdata)
{
	struct connection *c = userdata;
	const uint8_t *data = ssh_buffer_get(packet);
	size_t size = ssh_buffer_get_len(packet);
	size_t name = size >= 8 ? get_u32(data + 4) : SIZE_MAX;

	c->text_has_nul = false;
	if (name != 4 || size < 8 + 4 + 1 + 4 || memcmp(data + 8, "exec", 4) != 0)
		return SSH_PACKET_NOT_USED;
	c->text_has_nul = memchr(data + 17, '\0', size - 17) != NULL;
	return SSH_PACKET_NOT_USED;
}

static int on_exec(ssh_session session _unused_, ssh_channel ssh _unused_,
		   const char *command, void *userdata)
{
	struct channel *channel = userdata;

	if (channel->state != CHANNEL_OPEN)
		return 1;
	/* an impossible byte, so that the parser refuses it with its own words */
	channel->command = strdup(channel->connection->text_has_nul ? "\n" : command);
	if (!channel->command)
		return 1;
	channel->state = CHANNEL_ASKED;
	return 0;
}

static int on_shell(ssh_session session _unused_, ssh_channel ssh _unused_,
		    void *userdata)
{
	struct channel *channel = userdata;

	if (channel->state != CHANNEL_OPEN)
		return 1;
	channel->state = CHANNEL_ASKED;
	return 0;
}

static int on_pty(ssh_session session _unused_, ssh_channel ssh _unused_,
		  const char *term _unused_, int width _unused_, int height _unused_,
		  int pixel_width _unused_, int pixel_height _unused_, void *userdata)
{
	struct channel *channel = userdata;

	if (channel->state != CHANNEL_OPEN)
		return -1;
	channel->terminal = true;
	return 0;
}

static int on_window_change(ssh_session session _unused_, ssh_channel ssh _unused_,
			    int width _unused_, int height _unused_,
			    int pixel_width _unused_, int pixel_height _unused_,
			    void *userdata _unused_)
{
	return 0;
}

/* Nothing of a client's environment is taken but this; the rest is what every client sends, like LANG. */
static int on_env(ssh_session session _unused_, ssh_channel ssh _unused_,
		  const char *name, const char *value, void *userdata)
{
	struct channel *channel = userdata;

	if (channel->state != CHANNEL_OPEN || !str_equal(name, "GIT_PROTOCOL"))
		return 1;
	channel->protocol = exec_git_protocol(value);
	return 0;
}

static int on_data(ssh_session session _unused_, ssh_channel ssh _unused_, void *data,
		   uint32_t size, int is_stderr, void *userdata)
{
	struct channel *channel = userdata;

	if (is_stderr)
		return (int)size; /* no client has a reason to send any */
	return (int)relay_direct(channel, data, size);
}

static void on_eof(ssh_session session _unused_, ssh_channel ssh _unused_, void *userdata)
{
	struct channel *channel = userdata;

	channel->remote_eof = true;
}

static void on_close(ssh_session session _unused_, ssh_channel ssh _unused_,
		     void *userdata)
{
	struct channel *channel = userdata;

	channel->remote_eof = true;
	channel->remote_closed = true;
}

static struct channel *channel_create(struct connection *c)
{
	struct channel *channel = malloc(sizeof(*channel));

	if (!channel)
		return NULL;
	*channel = (struct channel){
		.connection = c,
		.stream_fd = -EBADF,
		.errors_fd = -EBADF,
		.status_fd = -EBADF,
		.callbacks = {
			.size = sizeof(channel->callbacks),
			.userdata = channel,
			.channel_data_function = on_data,
			.channel_eof_function = on_eof,
			.channel_close_function = on_close,
			.channel_pty_request_function = on_pty,
			.channel_pty_window_change_function = on_window_change,
			.channel_shell_request_function = on_shell,
			.channel_exec_request_function = on_exec,
			.channel_env_request_function = on_env,
		},
	};
	channel->ssh = ssh_channel_new(c->session);
	if (!channel->ssh ||
	    ssh_set_channel_callbacks(channel->ssh, &channel->callbacks) != SSH_OK) {
		if (channel->ssh)
			ssh_channel_free(channel->ssh);
		free(channel);
		return NULL;
	}
	return channel;
}

static ssh_channel on_open(ssh_session session _unused_, void *userdata)
{
	struct connection *c = userdata;

	for (uint32_t i = 0; c->auth.done && i < c->setup.channels; i++) {
		if (c->channels[i])
			continue;
		c->channels[i] = channel_create(c);
		return c->channels[i] ? c->channels[i]->ssh : NULL;
	}
	return NULL;
}

int channel_attach(struct connection *c)
{
	static ssh_packet_callback handlers[CHANNEL_PACKET_COUNT] = {
		[0] = on_open_packet,
		[CHANNEL_PACKET_REQUEST - CHANNEL_PACKET_OPEN] = on_request_packet,
	};

	c->channels = calloc(c->setup.channels, sizeof(struct channel *));
	if (!c->channels)
		return -ENOMEM;
	c->request_packets = (struct ssh_packet_callbacks_struct){
		.start = CHANNEL_PACKET_OPEN,
		.n_callbacks = CHANNEL_PACKET_COUNT,
		.callbacks = handlers,
		.user = c,
	};
	ssh_packet_set_callbacks(c->session, &c->request_packets);
	c->server_callbacks.channel_open_request_session_function = on_open;
	return 0;
}

size_t channel_count(const struct connection *c)
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->setup.channels; i++)
		n += c->channels[i] != NULL;
	return n;
}

uint64_t channel_deadline(const struct connection *c)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < c->setup.channels; i++) {
		const struct channel *ch = c->channels[i];

		if (!ch || ch->state != CHANNEL_RUNNING || ch->ended)
			continue;
		if (ch->eof_usec > 0 && ch->eof_usec < next)
			next = ch->eof_usec;
		if (ch->close_usec > 0 && ch->close_usec < next)
			next = ch->close_usec;
	}
	return next;
}

void channel_forget_all(struct connection *c)
{
	for (uint32_t i = 0; i < c->setup.channels; i++)
		if (c->channels[i])
			c->channels[i]->ssh = NULL;
}

void channel_free_all(struct connection *c)
{
	for (uint32_t i = 0; c->channels && i < c->setup.channels; i++) {
		if (c->channels[i])
			channel_destroy(c->channels[i]);
	}
	free(c->channels);
	c->channels = NULL;
}

void channel_polls(struct connection *c, struct pollfd *polls)
{
	for (uint32_t i = 0; i < c->setup.channels; i++, polls += CHANNEL_POLLS) {
		struct channel *ch = c->channels[i];
		bool send = ch && relay_can_send(ch);
		short stream = 0;

		for (size_t k = 0; k < CHANNEL_POLLS; k++)
			polls[k] = (struct pollfd){ .fd = -1 };
		if (!ch || ch->state != CHANNEL_RUNNING)
			continue;
		if (send && !ch->output_ended && ch->outbound.size == 0)
			stream |= POLLIN;
		if (!ch->input_closed &&
		    (ch->inbound_at < ch->inbound_size || ch->inbound_left))
			stream |= POLLOUT;
		if (stream)
			polls[0] =
				(struct pollfd){ .fd = ch->stream_fd, .events = stream };
		if (send && !ch->errors_ended && ch->errors.size == 0)
			polls[1] =
				(struct pollfd){ .fd = ch->errors_fd, .events = POLLIN };
		if (!ch->ended)
			polls[2] =
				(struct pollfd){ .fd = ch->status_fd, .events = POLLIN };
	}
}

static void take_status(struct channel *channel)
{
	int r = client_wait_status(channel->status_fd);

	channel->status_fd = fd_close(channel->status_fd);
	if (r < 0) {
		connection_log(channel->connection, LOG_ERR, "no exit status: %s",
			       strerror(-r));
		channel_fail(channel, STATUS_FAILED,
			     "the server was restarted meanwhile; try again");
		return;
	}
	channel->ended = true;
	channel->status = (uint32_t)r;
}

/* The process behind a channel that nobody reads any more must notice. */
static void abandon(struct channel *channel)
{
	channel->stream_fd = fd_close(channel->stream_fd);
	channel->errors_fd = fd_close(channel->errors_fd);
	channel->inbound_at = channel->inbound_size;
	strbuf_clear(&channel->outbound);
	strbuf_clear(&channel->errors);
	channel->inbound_left = false;
	channel->input_closed = true;
	channel->output_ended = true;
	channel->errors_ended = true;
}

/* Exit status, EOF, close, in this order (RFC 4254 5.3, 6.10); again until libssh has taken them. */
static void finish(struct channel *channel)
{
	if (!channel->status_sent) {
		abandon(channel);
		channel->status_fd = fd_close(channel->status_fd);
		/* a client may have closed its side and still want to know */
		if (channel->ended)
			(void)ssh_channel_request_send_exit_status(channel->ssh,
								   (int)channel->status);
		channel->status_sent = true;
	}
	if (ssh_channel_close(channel->ssh) == SSH_OK)
		channel->state = CHANNEL_CLOSED;
}

static int serve_running(struct channel *channel, const struct pollfd *polls)
{
	int r;

	if (!channel->ended && polls[2].revents)
		take_status(channel);
	if (channel->remote_closed) {
		uint64_t now = connection_now_usec();

		abandon(channel);
		if (channel->close_usec == 0)
			channel->close_usec = now + CHANNEL_CLOSE_USEC;
		if (channel->ended || now >= channel->close_usec)
			channel->state = CHANNEL_ENDING;
		return 0;
	}
	r = relay_input(channel);
	if (r < 0)
		return r;
	/* what a process wrote before it ended is there, so an empty socket is then the end */
	r = relay_output(channel, (polls[0].revents & ~POLLOUT) || channel->ended,
			 polls[1].revents || channel->ended);
	if (r < 0)
		return r;
	if (channel->ended && channel->output_ended && channel->errors_ended &&
	    channel->outbound.size == 0 && channel->errors.size == 0)
		channel->state = CHANNEL_ENDING;
	return 0;
}

/* Returns false when the channel is over and can be freed. */
static bool serve(struct channel *channel, const struct pollfd *polls)
{
	if (channel->state == CHANNEL_ASKED)
		channel_start(channel);
	if (channel->state == CHANNEL_OPEN && channel->remote_closed)
		channel->state = CHANNEL_ENDING;
	if (channel->state == CHANNEL_RUNNING) {
		int r = serve_running(channel, polls);

		channel->connection->exhausted |= r == -ENOMEM;
		if (r < 0)
			return true; /* the loop sees why and ends the connection */
	}
	if (channel->state == CHANNEL_ENDING)
		finish(channel);
	return channel->state != CHANNEL_CLOSED || !channel->remote_closed;
}

void channel_serve_all(struct connection *c, const struct pollfd *polls)
{
	for (uint32_t i = 0; i < c->setup.channels; i++) {
		if (!c->channels[i] || serve(c->channels[i], polls + i * CHANNEL_POLLS))
			continue;
		channel_destroy(c->channels[i]);
		c->channels[i] = NULL;
	}
}

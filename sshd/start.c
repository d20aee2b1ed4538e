/* From a command line to a process: ask hostkitd for it and keep the descriptors it hands over. */

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "base/escape.h"
#include "base/log.h"
#include "base/packet.h"
#include "protocol/status.h"
#include "sshd/exec_line.h"
#include "sshd/internal.h"

void channel_fail(struct channel *channel, uint32_t status, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vformat(fmt, ap);
	va_end(ap);
	strbuf_format(&channel->errors, " !     %s%s\n", text ? text : "internal error",
		      channel->terminal ? "\r" : "");
	channel->state = CHANNEL_RUNNING;
	channel->input_closed = true;
	channel->output_ended = true;
	channel->errors_ended = true;
	channel->ended = true;
	channel->status = status;
}

static void fail_with(struct channel *channel, const struct error *err)
{
	const char *end = channel->terminal ? "\r\n" : "\n";

	channel_fail(channel, status_of_error(err->code, err->number), "%s%s%s%s",
		     error_text(err, false), err->suggestion ? end : "",
		     err->suggestion ? " !     Try: " : "",
		     err->suggestion ? err->suggestion : "");
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* Ask hostkitd. What it hands over besides the three descriptors of every process goes to *ret_extra_fd. */
static int open_process(struct channel *channel, enum request op,
			const struct strbuf *args, int *ret_extra_fd, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	struct connection *c = channel->connection;
	size_t expected = ret_extra_fd ? 4 : 3;
	struct packet *packet = &answer.packet;
	int r;

	if (!c->client)
		return error_user(err, -EPIPE, "DAEMON_UNREACHABLE",
				  "the server is being restarted; connect again");
	r = client_call(c->client, op, args, NULL, 0, &answer, err);
	if (r < 0 && !err->code) {
		log_error(LOG_ERR, err, "%s: start a process", c->peer.address);
		c->client = client_free(c->client);
		return error_user(err, r, "DAEMON_UNREACHABLE",
				  "hostkitd does not answer; connect again");
	}
	if (r < 0)
		return r;
	r = wire_end(&answer.body);
	if (r >= 0 && packet->fd_count != expected)
		r = -EBADMSG;
	if (r >= 0)
		r = set_nonblocking(packet->fds[0]);
	if (r >= 0)
		r = set_nonblocking(packet->fds[1]);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to %s",
				      request_name(op));

	channel->stream_fd = TAKE_FD(packet->fds[0]);
	channel->errors_fd = TAKE_FD(packet->fds[1]);
	channel->status_fd = TAKE_FD(packet->fds[2]);
	if (ret_extra_fd)
		*ret_extra_fd = TAKE_FD(packet->fds[3]);
	channel->state = CHANNEL_RUNNING;
	return 0;
}

static int start_git(struct channel *channel, const struct exec_line *exec,
		     struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	connection_log(channel->connection, LOG_INFO, "git %s '%s'",
		       exec->service == GIT_SERVICE_RECEIVE ? "push to" : "fetch from",
		       exec->project);
	wire_put_u32(&args, exec->service);
	wire_put_string(&args, exec->project);
	wire_put_u32(&args, channel->protocol);
	return open_process(channel, REQUEST_OPEN_GIT, &args, NULL, err);
}

/* Verb and noun only: what follows may be a secret. */
static void log_command(const struct connection *c, const struct exec_line *exec)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < exec->word_count && i < 2; i++) {
		_cleanup_free_ char *word = escape_text(exec->words[i], REQUEST_NAME_MAX);

		strbuf_format(&text, " '%s'", word ? word : "");
	}
	connection_log(c, LOG_INFO, "command%s", strbuf_get(&text));
}

static int start_verb(struct channel *channel, const struct exec_line *exec,
		      struct error *err)
{
	_cleanup_strbuf_ struct strbuf words = { 0 };
	_cleanup_close_ int words_fd = -EBADF;
	int r;

	log_command(channel->connection, exec);
	wire_put_bool(&words, channel->terminal);
	wire_put_u32(&words, (uint32_t)exec->word_count);
	for (size_t i = 0; i < exec->word_count; i++)
		wire_put_string(&words, exec->words[i]);

	r = open_process(channel, REQUEST_OPEN_VERB, NULL, &words_fd, err);
	if (r < 0)
		return r;
	r = strbuf_failed(&words)
		    ? -ENOMEM
		    : packet_send(words_fd, words.data, words.size, NULL, 0);
	return r < 0 ? error_internal(err, r, "send the words of a command") : 0;
}

void channel_start(struct channel *channel)
{
	_cleanup_exec_line_ struct exec_line exec = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	const char *line = channel->command ? channel->command : "";
	int r = exec_line_parse(line, strlen(line), &exec, &err);

	if (r >= 0)
		r = exec.kind == EXEC_GIT ? start_git(channel, &exec, &err)
					  : start_verb(channel, &exec, &err);
	free(TAKE_PTR(channel->command));
	if (r >= 0)
		return;
	connection_log(channel->connection, LOG_INFO, "refused: %s",
		       error_text(&err, true));
	fail_with(channel, &err);
}

/*
 * hostkit: the verbs. Started by a person on the server it connects to hostkitd as that person; started
 * by hostkitd for an SSH session (--session) it finds its words and its connection in the descriptors
 * 3 and 4 (docs/architecture.md). What a caller may do is decided by hostkitd in both cases.
 */

#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "base/packet.h"
#include "base/str.h"
#include "command/command.h"
#include "protocol/exit_report.h"
#include "protocol/status.h"

#define SESSION_REQUESTS_FD 3
#define SESSION_WORDS_FD 4

struct words {
	char **items;
	uint32_t count;
};

static void words_done(struct words *words)
{
	for (uint32_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
}

/* A caller may have closed them, and what is opened next would take their place. */
static int open_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd)
			return -EBADF;
	return 0;
}

static int read_words(const struct packet *packet, bool *ret_terminal,
		      struct words *ret_words)
{
	struct wire w = wire_reader(packet->data, packet->size);
	uint32_t count;

	*ret_terminal = wire_bool(&w);
	count = wire_u32(&w);
	/* every word takes the four bytes of its length */
	if (w.failed || count > packet->size / 4)
		return -EBADMSG;
	ret_words->items = calloc(count + 1, sizeof(*ret_words->items));
	if (!ret_words->items)
		return -ENOMEM;
	for (; ret_words->count < count && !w.failed; ret_words->count++)
		ret_words->items[ret_words->count] = wire_string(&w, WIRE_MESSAGE_MAX);
	return wire_end(&w);
}

static int run_session(struct command *command)
{
	_cleanup_packet_ struct packet packet = { 0 };
	_cleanup_(words_done) struct words words = { 0 };
	int r = client_from_fd(SESSION_REQUESTS_FD, &command->client);

	if (r >= 0)
		r = packet_receive(SESSION_WORDS_FD, &packet);
	if (r == 0)
		return STATUS_FAILED; /* the connection ended before it said what it wants */
	if (r > 0)
		r = read_words(&packet, &command->terminal, &words);
	if (r < 0) {
		log_err("words of the session: %s", strerror(-r));
		return STATUS_FAILED;
	}
	command->session = true;
	return command_run(command, (const char *const *)words.items, words.count);
}

int main(int argc, char **argv)
{
	static const char *const version[] = { "version" };
	_cleanup_command_ struct command command = { 0 };

	log_setup("hostkit", LOG_INFO);
	if (open_standard_fds() < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return STATUS_FAILED;

	if (argc == 2 && str_equal(argv[1], "--session"))
		return exit_report(run_session(&command));
	if (argc == 2 && str_equal(argv[1], "--version"))
		return command_run(&command, version, ARRAY_SIZE(version));
	return command_run(&command, (const char *const *)argv + 1,
			   argc > 0 ? (size_t)argc - 1 : 0);
}

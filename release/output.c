/*
 * The log, the lines in it, and the list of viewers; viewer.c sends them what the log has. Runs as `hostkit`;
 * the bytes of builds that pass through here are foreign.
 */
#include "release/output.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/io.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/str.h"
#include "release/viewer.h"

/* A line and its newline must fit into one packet. */
#define OUTPUT_LINE_MAX (STREAM_TEXT_MAX - 16)

#define PREFIX_STEP "-----> "
#define PREFIX_RESULT "=====> "
#define PREFIX_DETAIL "       "
#define PREFIX_TROUBLE " !     "

struct output {
	sd_event *event;
	int log_fd; /* borrowed; -EBADF once it failed */
	struct viewer_source source;
	bool in_memory; /* source.fd is ours alone and must be written too */
	struct viewer *viewers[OUTPUT_VIEWERS_MAX];
	size_t viewer_count;
	uint64_t progress; /* of viewers that are gone */
	int listen_fd;
	sd_event_source *listen_source;
};

/* Keep a copy from here on, with what the log has so far where that can be read. */
static int move_to_memory(struct output *output)
{
	_cleanup_close_ int fd = memfd_create("job-output", MFD_CLOEXEC);
	char chunk[16384];
	uint64_t at = 0;

	if (fd < 0)
		return -errno;
	while (output->source.fd >= 0 && at < output->source.size) {
		ssize_t n = pread(output->source.fd, chunk, sizeof(chunk), (off_t)at);

		if (n <= 0)
			break;
		if (io_write_all(fd, chunk, (size_t)n) < 0)
			return -EIO;
		at += (uint64_t)n;
	}
	fd_close(output->source.fd);
	output->source.fd = TAKE_FD(fd);
	output->source.size = at;
	output->in_memory = true;
	return 0;
}

/* hostkitd opens the log for appending only; the same file once more, to read. */
static int open_log_again(int log_fd, uint64_t *ret_size)
{
	_cleanup_free_ char *path = str_format("/proc/self/fd/%d", log_fd);
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (!path)
		return -ENOMEM;
	if (fstat(log_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

int output_new(sd_event *event, int log_fd, struct output **ret_output)
{
	_cleanup_(output_freep) struct output *output = calloc(1, sizeof(*output));
	int r;

	if (!output)
		return -ENOMEM;
	output->event = sd_event_ref(event);
	output->log_fd = log_fd;
	output->listen_fd = -EBADF;
	output->source.fd = open_log_again(log_fd, &output->source.size);
	if (output->source.fd < 0) {
		r = move_to_memory(output);
		if (r < 0)
			return r;
	}
	*ret_output = TAKE_PTR(output);
	return 0;
}

static void stop_listening(struct output *output)
{
	output->listen_source = sd_event_source_disable_unref(output->listen_source);
	output->listen_fd = fd_close(output->listen_fd);
}

struct output *output_free(struct output *output)
{
	if (!output)
		return NULL;
	stop_listening(output);
	for (size_t i = 0; i < output->viewer_count; i++)
		viewer_free(output->viewers[i]);
	fd_close(output->source.fd);
	strbuf_done(&output->source.end);
	sd_event_unref(output->event);
	free(output);
	return NULL;
}

/* Give every viewer what it can take, and let go of those that are gone. */
static void pump(struct output *output)
{
	for (size_t i = output->viewer_count; i > 0; i--) {
		struct viewer *viewer = output->viewers[i - 1];

		if (viewer_pump(viewer) >= 0)
			continue;
		output->progress += viewer_progress(viewer);
		viewer_free(viewer);
		output->viewers[i - 1] = output->viewers[--output->viewer_count];
	}
}

void output_add_viewer(struct output *output, int fd)
{
	struct viewer *viewer;
	int r = -EMFILE;

	if (output->viewer_count < OUTPUT_VIEWERS_MAX)
		r = viewer_new(output->event, &output->source, fd, &viewer);
	else
		fd_close(fd);
	if (r < 0) {
		log_warning("a viewer was turned away: %s, ignoring", strerror(-r));
		return;
	}
	output->viewers[output->viewer_count++] = viewer;
	pump(output);
}

static int on_viewer(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *userdata)
{
	_cleanup_packet_ struct packet packet = { 0 };
	struct output *output = userdata;
	int r = packet_receive(fd, &packet);

	if (r <= 0) {
		stop_listening(output); /* a new one comes with the next connection */
		return 0;
	}
	for (size_t i = 0; i < packet.fd_count; i++)
		output_add_viewer(output, TAKE_FD(packet.fds[i]));
	return 0;
}

int output_listen(struct output *output, int fd)
{
	int r;

	stop_listening(output);
	r = sd_event_add_io(output->event, &output->listen_source, fd, EPOLLIN, on_viewer,
			    output);
	output->listen_fd = fd;
	return r < 0 ? r : 0;
}

static void write_text(struct output *output, const char *text, size_t size)
{
	int r = output->log_fd < 0 ? 0 : io_write_all(output->log_fd, text, size);

	if (r < 0) {
		log_warning("cannot write the job's log: %s, going on without it",
			    strerror(-r));
		output->log_fd = -EBADF;
		if (!output->in_memory && move_to_memory(output) < 0)
			return;
	}
	if (output->in_memory && io_write_all(output->source.fd, text, size) < 0)
		return; /* out of memory: this line is lost for everybody */
	output->source.size += size;
}

static void write_line(struct output *output, const char *prefix, const char *text,
		       size_t size)
{
	_cleanup_strbuf_ struct strbuf escaped = { 0 }, line = { 0 };
	const char *p;

	escape_append(&escaped, text, size);
	p = strbuf_get(&escaped);
	do {
		size_t n = strlen(p);

		if (n > OUTPUT_LINE_MAX)
			for (n = OUTPUT_LINE_MAX; (p[n] & 0xc0) == 0x80; n--)
				;
		strbuf_clear(&line);
		strbuf_str(&line, prefix);
		strbuf_append(&line, p, n);
		strbuf_char(&line, '\n');
		if (!strbuf_failed(&escaped) && !strbuf_failed(&line))
			write_text(output, line.data, line.size);
		p += n;
	} while (*p);
}

static _printf_(3, 0) void say(struct output *output, const char *prefix, const char *fmt,
			       va_list ap)
{
	_cleanup_free_ char *text = str_vformat(fmt, ap);
	const char *p = text ? text : "(out of memory)";

	do {
		size_t n = strcspn(p, "\n");

		write_line(output, prefix, p, n);
		p += n;
		p += *p == '\n';
	} while (*p);
	pump(output);
}

#define DEFINE_SAY(name, prefix)                                        \
	void output_##name(struct output *output, const char *fmt, ...) \
	{                                                               \
		va_list ap;                                             \
                                                                        \
		va_start(ap, fmt);                                      \
		say(output, prefix, fmt, ap);                           \
		va_end(ap);                                             \
	}                                                               \
	struct output

DEFINE_SAY(step, PREFIX_STEP);
DEFINE_SAY(result, PREFIX_RESULT);
DEFINE_SAY(detail, PREFIX_DETAIL);
DEFINE_SAY(trouble, PREFIX_TROUBLE);

void output_foreign(void *userdata, const char *line, size_t size)
{
	static const char *const ours[] = { PREFIX_STEP, PREFIX_DETAIL, PREFIX_TROUBLE };
	struct output *output = userdata;

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		size_t n = strlen(ours[i]);

		if (size >= n && memcmp(line, ours[i], n) == 0) {
			write_line(output, ours[i], line + n, size - n);
			pump(output);
			return;
		}
	}
	write_line(output, PREFIX_DETAIL, line, size);
	pump(output);
}

void output_end(struct output *output, const struct stream_end *end)
{
	if (output->source.end.size > 0)
		return;
	stream_put_end(&output->source.end, end);
	if (strbuf_failed(&output->source.end))
		log_err("out of memory for the end of the job's output");
	pump(output);
}

bool output_is_drained(const struct output *output)
{
	for (size_t i = 0; i < output->viewer_count; i++)
		if (!viewer_is_done(output->viewers[i]))
			return false;
	return true;
}

uint64_t output_progress(const struct output *output)
{
	uint64_t progress = output->progress;

	for (size_t i = 0; i < output->viewer_count; i++)
		progress += viewer_progress(output->viewers[i]);
	return progress;
}

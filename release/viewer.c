#include "release/viewer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/packet.h"
#include "protocol/stream.h"
#include "release/output.h"

struct viewer {
	const struct viewer_source *source;
	int fd;
	sd_event_source *writable; /* watches for room, off while there is some */
	uint64_t at;               /* place in the source */
	uint64_t backlog;  /* what there was when it came is not held against it */
	uint64_t left_out; /* bytes it lost since it was last told */
	uint64_t progress;
	bool blocked;
	bool ended; /* has the last packet */
	bool gone;
};

static int on_writable(_unused_ sd_event_source *source, _unused_ int fd,
		       _unused_ uint32_t events, void *userdata)
{
	struct viewer *viewer = userdata;

	viewer->blocked = false;
	if (viewer_pump(viewer) < 0)
		(void)sd_event_source_set_enabled(viewer->writable, SD_EVENT_OFF);
	return 0; /* one that is gone is freed with the next line */
}

int viewer_new(sd_event *event, const struct viewer_source *source, int fd,
	       struct viewer **ret_viewer)
{
	struct viewer *viewer = calloc(1, sizeof(*viewer));
	int flags = fcntl(fd, F_GETFL);
	int r;

	if (!viewer || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = viewer ? -errno : -ENOMEM;
		free(viewer);
		fd_close(fd);
		return r;
	}
	viewer->source = source;
	viewer->fd = fd;
	viewer->backlog = source->size;
	r = sd_event_add_io(event, &viewer->writable, fd, EPOLLOUT, on_writable, viewer);
	if (r >= 0)
		r = sd_event_source_set_enabled(viewer->writable, SD_EVENT_OFF);
	if (r < 0) {
		viewer_free(viewer);
		return r;
	}
	*ret_viewer = viewer;
	return 0;
}

void viewer_free(struct viewer *viewer)
{
	sd_event_source_disable_unref(viewer->writable);
	fd_close(viewer->fd);
	free(viewer);
}

/* Returns 1 when it was sent, 0 when there is no room now, or a negative errno value. */
static int send_packet(struct viewer *viewer, const struct strbuf *packet)
{
	int r = packet_send(viewer->fd, packet->data, packet->size, NULL, 0);

	if (r == -EAGAIN) {
		viewer->blocked = true;
		r = sd_event_source_set_enabled(viewer->writable, SD_EVENT_ON);
		return r < 0 ? r : 0;
	}
	viewer->progress += r >= 0;
	return r < 0 ? r : 1;
}

static int send_marker(struct viewer *viewer)
{
	_cleanup_strbuf_ struct strbuf text = { 0 }, packet = { 0 };
	int r;

	strbuf_format(&text,
		      " !     %llu bytes left out, as they were not taken in time\n",
		      (unsigned long long)viewer->left_out);
	stream_put_text(&packet, strbuf_get(&text), text.size);
	r = strbuf_failed(&text) || strbuf_failed(&packet) ? -ENOMEM
							   : send_packet(viewer, &packet);
	if (r > 0)
		viewer->left_out = 0;
	return r;
}

/* Read at most size bytes at `at`. Returns how many belong to whole lines, or a negative errno value. */
static ssize_t read_lines(const struct viewer *viewer, uint64_t at, char *data,
			  size_t size)
{
	ssize_t n = pread(viewer->source->fd, data, size, (off_t)at);
	const char *last;

	if (n < 0)
		return -errno;
	last = memrchr(data, '\n', (size_t)n);
	return last ? last - data + 1
		    : n; /* a file of foreign make: better cut than stuck */
}

static int send_lines(struct viewer *viewer)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };
	uint64_t left = viewer->source->size - viewer->at;
	char data[STREAM_TEXT_MAX];
	ssize_t n;
	int r;

	n = read_lines(viewer, viewer->at, data,
		       left < sizeof(data) ? left : sizeof(data));
	if (n <= 0)
		return n < 0 ? (int)n : -EIO;
	stream_put_text(&packet, data, (size_t)n);
	r = strbuf_failed(&packet) ? -ENOMEM : send_packet(viewer, &packet);
	if (r > 0)
		viewer->at += (uint64_t)n;
	return r;
}

/* Go forward to a line that is OUTPUT_LAG_KEPT before the end. */
static void leave_out(struct viewer *viewer)
{
	uint64_t to = viewer->source->size - OUTPUT_LAG_KEPT;
	char data[STREAM_TEXT_MAX];
	ssize_t n = read_lines(viewer, to, data, sizeof(data));
	const char *newline = n > 0 ? memchr(data, '\n', (size_t)n) : NULL;

	if (!newline)
		return;
	to += (uint64_t)(newline - data) + 1;
	viewer->left_out += to - viewer->at;
	viewer->at = to;
}

static int pump(struct viewer *viewer)
{
	int r = 1;

	while (r > 0 && !viewer->ended) {
		if (viewer->left_out > 0) {
			r = send_marker(viewer);
		} else if (viewer->at < viewer->source->size) {
			r = send_lines(viewer);
		} else if (viewer->source->end.size > 0) {
			r = send_packet(viewer, &viewer->source->end);
			viewer->ended = r > 0;
		} else {
			break;
		}
	}
	return r;
}

int viewer_pump(struct viewer *viewer)
{
	if (!viewer->gone && !viewer->blocked) {
		int r = sd_event_source_set_enabled(viewer->writable, SD_EVENT_OFF);

		viewer->gone = r < 0 || pump(viewer) < 0;
	}
	if (viewer->blocked && viewer->at >= viewer->backlog &&
	    viewer->source->size - viewer->at > OUTPUT_LAG_MAX)
		leave_out(viewer);
	return viewer->gone || viewer->ended ? -EPIPE : 0;
}

bool viewer_is_done(const struct viewer *viewer)
{
	return viewer->gone || viewer->ended ||
	       (viewer->at == viewer->source->size && viewer->source->end.size == 0);
}

uint64_t viewer_progress(const struct viewer *viewer)
{
	return viewer->progress;
}

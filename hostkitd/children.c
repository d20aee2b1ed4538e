/* Programs we started: watched by pidfd, so that no process id can be mistaken for another. */

#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"

/* What timeout(1) reports for a program that did not end in time. */
#define CHILD_STATUS_TIMEOUT 124

struct child {
	struct process process;
	char *path;
	sd_event_source *source;
	sd_event_source *deadline; /* NULL: it may take as long as it likes */
	bool late;
	child_fn fn;
	void *userdata;
};

static struct child *child_free(struct child *child)
{
	if (!child)
		return NULL;
	sd_event_source_disable_unref(child->source);
	sd_event_source_disable_unref(child->deadline);
	fd_close(child->process.pidfd);
	fd_close(child->process.report_fd);
	free(child->path);
	free(child);
	return NULL;
}
DEFINE_CLEANUP(struct child *, child_free);

static int child_status(struct child *child)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	int status = process_wait(child->process.pid); /* has ended: neither waits */

	if (process_report(child->path, child->process.report_fd, &err) < 0)
		log_error(LOG_ERR, &err, "start %s", child->path);
	if (child->late)
		return CHILD_STATUS_TIMEOUT;
	return status < 0 ? 255 : status;
}

static int on_exit_of_child(sd_event_source *source, int fd, uint32_t revents,
			    void *userdata)
{
	struct child *child = userdata;
	child_fn fn = child->fn;
	void *data = child->userdata;
	int status = child_status(child);

	(void)source;
	(void)fd;
	(void)revents;
	child_free(child);
	fn(data, status);
	return 0;
}

/* Its user may have stopped it; SIGKILL ends it all the same. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct child *child = userdata;

	(void)source;
	(void)usec;
	log_warning("%s (process %d) does not end, killing it", child->path,
		    (int)child->process.pid);
	child->late = true;
	(void)kill(child->process.pid,
		   SIGKILL); /* not waited for yet, so it is still that one */
	return 0;
}

static int child_watch(struct child *child, sd_event *event, uint64_t patience_usec)
{
	int r = sd_event_add_io(event, &child->source, child->process.pidfd, EPOLLIN,
				on_exit_of_child, child);

	if (r >= 0 && patience_usec > 0)
		r = sd_event_add_time_relative(event, &child->deadline, CLOCK_MONOTONIC,
					       patience_usec, 0, on_deadline, child);
	return r;
}

int child_start(struct daemon *daemon, const struct process_plan *plan,
		uint64_t patience_usec, child_fn fn, void *userdata, struct error *err)
{
	_cleanup_(child_freep) struct child *child = calloc(1, sizeof(*child));
	int r;

	if (!child)
		return error_internal(err, -ENOMEM, "start %s", plan->path);
	*child = (struct child){
		.process = { .pidfd = -EBADF, .report_fd = -EBADF },
		.path = strdup(plan->path),
		.fn = fn,
		.userdata = userdata,
	};
	if (!child->path)
		return error_internal(err, -ENOMEM, "start %s", plan->path);
	r = process_spawn(plan, &child->process, err);
	if (r < 0)
		return r;
	r = child_watch(child, daemon->event, patience_usec);
	if (r < 0) {
		(void)kill(child->process.pid, SIGKILL); /* cannot be watched */
		(void)process_wait(child->process.pid);
		return error_internal(err, r, "watch %s", plan->path);
	}
	TAKE_PTR(child);
	return 0;
}

void status_report(int status_fd, int status)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_u32(&message, (uint32_t)status);
	/* the program had this end as well: it may have filled the queue, and we wait for nobody */
	if (strbuf_failed(&message) ||
	    send(status_fd, message.data, message.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("nobody listens for a status");
	fd_close(status_fd);
}

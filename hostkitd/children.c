/* Programs we started: watched by pidfd, so that no process id can be mistaken for another. */

#include <sys/wait.h>

#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"

struct child {
	pid_t pid;
	int pidfd;
	sd_event_source *source;
	child_fn fn;
	void *userdata;
};

static struct child *child_free(struct child *child)
{
	sd_event_source_disable_unref(child->source);
	fd_close(child->pidfd);
	free(child);
	return NULL;
}

static int on_exit_of_child(sd_event_source *source, int fd, uint32_t revents,
			    void *userdata)
{
	struct child *child = userdata;
	child_fn fn = child->fn;
	void *data = child->userdata;
	int status = process_wait(child->pid); /* has ended, so this does not wait */

	(void)source;
	(void)fd;
	(void)revents;
	child_free(child);
	fn(data, status < 0 ? 255 : status);
	return 0;
}

int child_start(struct daemon *daemon, const struct process_plan *plan, child_fn fn,
		void *userdata, struct error *err)
{
	struct child *child = calloc(1, sizeof(*child));
	int r;

	if (!child)
		return error_internal(err, -ENOMEM, "start %s", plan->path);
	*child = (struct child){ .pidfd = -EBADF, .fn = fn, .userdata = userdata };

	r = process_start(plan, &child->pid, &child->pidfd, err);
	if (r >= 0) {
		r = sd_event_add_io(daemon->event, &child->source, child->pidfd, EPOLLIN,
				    on_exit_of_child, child);
		if (r < 0) {
			(void)kill(child->pid, SIGKILL); /* cannot be watched */
			(void)process_wait(child->pid);
			r = error_internal(err, r, "watch %s", plan->path);
		}
	}
	if (r < 0)
		child_free(child);
	return r;
}

void status_report(int status_fd, int status)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_u32(&message, (uint32_t)status);
	if (strbuf_failed(&message) ||
	    packet_send(status_fd, message.data, message.size, NULL, 0) < 0)
		log_debug("nobody listens for a status");
	fd_close(status_fd);
}

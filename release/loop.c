#include "release/loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

static int on_term(_unused_ sd_event_source *source,
		   _unused_ const struct signalfd_siginfo *info, void *userdata)
{
	struct loop *loop = userdata;

	loop->cancelled = true;
	return 0;
}

int loop_init(struct loop *loop)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = sd_event_new(&loop->event);
	if (r >= 0)
		r = sd_event_add_signal(loop->event, NULL, SIGTERM, on_term, loop);
	return r < 0 ? r : 0;
}

void loop_done(struct loop *loop)
{
	loop->event = sd_event_unref(loop->event);
}

uint64_t loop_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* this clock always exists */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int on_readable(_unused_ sd_event_source *source, _unused_ int fd,
		       _unused_ uint32_t events, void *userdata)
{
	*(bool *)userdata = true;
	return 0;
}

static int on_time(_unused_ sd_event_source *source, _unused_ uint64_t usec,
		   void *userdata)
{
	*(bool *)userdata = true;
	return 0;
}

int loop_wait_flag(struct loop *loop, const bool *flag, uint64_t timeout_usec)
{
	_cleanup_(sd_event_source_unrefp) sd_event_source *timer = NULL;
	bool late = false;
	int r = 0;

	if (timeout_usec != LOOP_FOREVER)
		r = sd_event_add_time_relative(loop->event, &timer, CLOCK_MONOTONIC,
					       timeout_usec, 1000, on_time, &late);
	while (r >= 0) {
		if (loop->cancelled && !loop->protected)
			return -ECANCELED;
		if (*flag)
			return 1;
		if (late)
			return 0;
		r = sd_event_run(loop->event, UINT64_MAX);
	}
	return r;
}

int loop_wait(struct loop *loop, int fd, uint64_t timeout_usec)
{
	_cleanup_(sd_event_source_unrefp) sd_event_source *io = NULL;
	bool readable = false;
	int r;

	if (fd >= 0) {
		r = sd_event_add_io(loop->event, &io, fd, EPOLLIN, on_readable,
				    &readable);
		if (r < 0)
			return r;
	}
	return loop_wait_flag(loop, &readable, timeout_usec);
}

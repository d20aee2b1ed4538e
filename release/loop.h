#pragma once

/*
 * The job's event loop. Steps are written one thing after another; whenever one has to wait, it waits
 * here, and the loop goes on serving viewers and notices a cancellation meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

struct loop {
	sd_event *event;
	bool cancelled; /* SIGTERM has come */
	bool protected; /* what is being done now must not be left half-done */
};

/* Set it up and take SIGTERM as the wish to cancel. Returns 0 or a negative errno value. */
int loop_init(struct loop *loop) _must_check_;
void loop_done(struct loop *loop);
#define _cleanup_loop_ _cleanup_(loop_done)

#define LOOP_FOREVER UINT64_MAX

/*
 * Wait until fd can be read (or is closed at the other end), at most timeout_usec. Returns 1 when it can,
 * 0 when the time is over, -ECANCELED when the job is cancelled and not protected, or another negative
 * errno value. fd -EBADF: just let the time pass.
 */
int loop_wait(struct loop *loop, int fd, uint64_t timeout_usec) _must_check_;

/* The same until *flag, which an event source of the caller sets, is true. */
int loop_wait_flag(struct loop *loop, const bool *flag, uint64_t timeout_usec)
	_must_check_;

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);

#pragma once

/* One who watches a job: a socket and a place in the job's output. Part of output.c. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macro.h"
#include "base/str.h"

/* What viewers read from: a file of whole lines that grows, and the last packet once it is over. */
struct viewer_source {
	int fd; /* pread(2) works on it */
	uint64_t size;
	struct strbuf end; /* empty: not over */
};

struct viewer;

/* Takes fd, also on failure. The source is borrowed and must outlive the viewer. */
int viewer_new(sd_event *event, const struct viewer_source *source, int fd,
	       struct viewer **ret_viewer) _must_check_;
void viewer_free(struct viewer *viewer);

/*
 * Send as much as it takes without waiting; it goes on by itself when it can take more. Returns 0, or
 * negative when it is gone and should be freed.
 */
int viewer_pump(struct viewer *viewer) _must_check_;

/* Has it got all there is, the last packet included if there is one? */
bool viewer_is_done(const struct viewer *viewer);

/* A number that grows whenever it takes something. */
uint64_t viewer_progress(const struct viewer *viewer);

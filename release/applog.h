#pragma once

/* What the app itself wrote since a moment: the end of its logs, to show when it does not come up. */

#include "release/job.h"

#define APPLOG_LINES_MAX 50

struct applog {
	struct {
		int fd;
		int64_t start; /* what was there before is not its news */
	} files[_LOG_KIND_N];
};

/* Before anything is started. A log that cannot be opened is left out. */
void applog_begin(struct applog *log, struct job *job);

/* Show the last lines of what has come since, at most APPLOG_LINES_MAX; says so if there is nothing. */
void applog_show(const struct applog *log, struct job *job);

void applog_done(struct applog *log);

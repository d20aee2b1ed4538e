#pragma once

/*
 * Exit statuses of HostKit's commands and jobs, and the error codes that lead to them: one table, so
 * that a verb, a job and the documentation cannot disagree.
 */

#include <stddef.h>

/* Scripts rely on the numbers: never renumber. 255 is left to SSH clients. */
enum status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_DENIED = 3, /* denied, or not there: a caller cannot tell which */
	STATUS_LOCKED = 4,
	STATUS_BUILD = 5,
	STATUS_MIGRATION = 6,
	STATUS_HEALTH = 7,
	STATUS_CANCELLED = 8,
	STATUS_PAUSED = 9, /* paused or rate-limited */
	_STATUS_N,
};

/* "usage" ...; one to four words for people, NULL for a number that is none. */
const char *status_name(unsigned int status);

/* One error code that scripts can test for. */
struct status_code {
	const char *code;
	enum status status;
	const char *meaning; /* one line */
};

/* All of them, sorted by code. */
const struct status_code *status_codes(size_t *ret_count);

/*
 * The exit status for an error: by its code where that is known, else by its negative errno value.
 * `code` may be NULL.
 */
enum status status_of_error(const char *code, int number);

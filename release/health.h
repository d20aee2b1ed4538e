#pragma once

/* Seeing that what was started is up: the unit stays, the port answers, and answers well. */

#include "release/job.h"

/*
 * Watch the project's unit, just started, until it is seen to be healthy or the time is over. Says nothing.
 * Returns 0 with how long it took, or -EIO with HEALTH_CHECK_FAILED, SERVICE_START_FAILED or PORT_TAKEN and
 * what was seen last, -ECANCELED with CANCELLED, or another negative errno value.
 */
int health_see(struct job *job, uint64_t *ret_elapsed_usec, struct error *err)
	_must_check_;

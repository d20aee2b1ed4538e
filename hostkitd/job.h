#pragma once

/* What is known of a job that waits or runs. */

#include "hostkitd/internal.h"
#include "protocol/status.h"

/* Its row id and its enum job_kind. */
int64_t job_run_id(const struct job_run *run);
uint32_t job_run_kind(const struct job_run *run);

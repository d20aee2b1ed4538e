#pragma once

/* What is known of a job that waits or runs. */

#include "hostkitd/internal.h"
#include "protocol/status.h"

/* Its row id, its enum job_kind, and whether it still waits for its turn. */
int64_t job_run_id(const struct job_run *run);
uint32_t job_run_kind(const struct job_run *run);
bool job_run_waits(const struct job_run *run);

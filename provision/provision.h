#pragma once

/* The life of a project: making all that belongs to it, step by step, and removing it again. */

#include "release/job.h"

extern const struct job_plan provision_plan;
extern const struct job_plan delete_plan;

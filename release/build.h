#pragma once

/* Having hostkitd build a release, and passing on what the build says. */

#include "release/job.h"

/*
 * Build the job's commit into `release` and wait for its end, also over a restart of hostkitd. A cancelled
 * job stops the build. Returns 0, or -EIO with BUILD_FAILED, -ECANCELED with CANCELLED, or another negative
 * errno value.
 */
int build_run(struct job *job, const char *release, struct error *err) _must_check_;

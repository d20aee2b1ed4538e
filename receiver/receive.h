#pragma once

/* git-receive-pack: one push. */

#include "base/error.h"
#include "receiver/options.h"

/*
 * Serve one push on standard input and output. Returns 0 when the client has its answer, also when that
 * is a refusal; or a negative errno value when the conversation broke down, to be shown as "fatal: ...".
 */
int receive_run(const struct receive_options *options, struct error *err) _must_check_;

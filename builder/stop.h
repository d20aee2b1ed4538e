#pragma once

/* Being told to stop: SIGTERM, SIGINT and SIGHUP become readable instead of deadly. */

#include <stdbool.h>

#include "base/macro.h"

/* Block the signals and return a descriptor that becomes readable with them, or a negative errno value. */
int stop_open(void) _must_check_;

/* Has one arrived? Keeps saying so. */
bool stop_requested(int stop_fd);

#pragma once

/* Ports of projects. */

#include "base/error.h"
#include "protocol/settings.h"

struct state;

/*
 * The lowest port of the range that no project has and nothing on this machine listens on. Returns 0
 * with *ret_port, -ENOSPC with PORTS_EXHAUSTED, or another negative errno value.
 */
int port_choose(struct state *state, const struct settings *settings, uint32_t *ret_port,
		struct error *err) _must_check_;

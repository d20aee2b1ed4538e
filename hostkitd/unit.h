#pragma once

/* The unit files of projects. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "hostkitd/state.h"

/*
 * Append s as one word of a unit file (systemd.syntax(7), systemd.unit(5)): quoted and escaped so that
 * systemd reads back exactly s, whatever bytes but NUL it has; with `exec` also as ExecStart= and
 * Environment= want it ('$').
 */
void unit_escape(struct strbuf *buf, const char *s, bool exec);

/* "hostkit-P.service"; NULL without memory. */
char *unit_name(const char *project);
bool unit_is_wanted(uint32_t runtime); /* a static project has none */

/* The whole text of a project's unit. Returns 0 or -ENOMEM. */
int unit_text(const struct project *project, struct strbuf *ret_text) _must_check_;

#pragma once

/* Programs started for a client, which talks to them through descriptors it gets with the answer. */

#include "hostkitd/internal.h"

/* hostkit-home on the project's .env: [stream socket, status descriptor]. */
int open_environment(struct exchange *req, const char *project, bool edit,
		     struct error *err) _must_check_;

/* The project's log file, read-only. */
int project_log_open(const char *project, uint32_t kind, struct error *err) _must_check_;
char *project_url(struct daemon *daemon, const char *project);

#pragma once

/* What kind of app lies in a directory, and whether it is the kind the project was made for. */

#include <stdint.h>

#include "base/error.h"

/*
 * Say which app is in dir_fd and check that it suits `runtime` (enum runtime). Returns 0, or -ENOENT with
 * RUNTIME_MISMATCH (it is another kind) or RUNTIME_NOT_RECOGNISED, each with what would be.
 */
int detect_app(int dir_fd, uint32_t runtime, const char **ret_marker, struct error *err)
	_must_check_;

/* The kind for people: "Node.js app", "static site", ... */
const char *detect_label(uint32_t runtime);

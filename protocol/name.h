#pragma once

/* The rules for names that users choose and that become parts of users, paths, units and hosts. */

#include <stdbool.h>

#include "base/error.h"

/*
 * A project's name: 3 to 32 characters of a-z, 0-9 and single hyphens, beginning with a letter, ending
 * with a letter or digit, and none that would collide with a user, unit, site, database role or host
 * name of the system or of another project's services.
 *
 * Returns 0, or -EINVAL with INVALID_PROJECT_NAME and the rule that was broken.
 */
int name_check_project(const char *name, struct error *err) _must_check_;

/* A key's name: 1 to 64 characters of letters, digits and "._@-", beginning with a letter or digit. */
int name_check_key(const char *name, struct error *err) _must_check_;

/* The empty release a project has before its first deployment; no row, and never removed. */
#define RELEASE_BOOTSTRAP "bootstrap"

/* Is it YYYYMMDD-HHMMSS? (Not whether such a release exists.) */
bool name_is_release(const char *name);

/* Is it 40 lower-case hexadecimal digits? */
bool name_is_oid(const char *name);

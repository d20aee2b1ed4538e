#pragma once

/* The rules of git-check-ref-format(1). */

#include <stdbool.h>

/*
 * Is this a full ref name that git would keep below a repository: "refs/" and at least one more
 * component, or two more unless `one_level`? (git lets a deletion name a ref of one level only, so
 * that what an older version made can be removed.)
 */
bool refname_is_valid(const char *name, bool one_level);

/*
 * Can no file be made for it: is a component with ".lock" longer than a file name may be, or all of it longer than a
 * path?
 */
bool refname_is_too_long(const char *name);

#pragma once

/* Names of releases, and which of them to keep. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "protocol/record.h"

/*
 * The name for a release made at now_sec (UTC): YYYYMMDD-HHMMSS, or the first free second behind
 * `newest` ("" for none) where that is not greater. Owned; NULL without memory or for a time that has no
 * such name.
 */
char *release_name(int64_t now_sec, const char *newest) _must_check_;

/*
 * Which of `count` releases (newest first) to remove: sets remove[i]. Kept are the live one, the good one
 * before it, the newest `keep` good ones (the live one among them), the newest failed one, and what is being
 * built. Returns how many go.
 */
size_t release_choose(const struct release_record *releases, size_t count, uint32_t keep,
		      bool remove[]);

#include "hostkitd/release.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "protocol/name.h"

static char *name_at(time_t at)
{
	struct tm tm;

	if (!gmtime_r(&at, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year < 0)
		return NULL;
	return str_format("%04d%02d%02d-%02d%02d%02d", tm.tm_year + 1900, tm.tm_mon + 1,
			  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static int64_t time_of(const char *name)
{
	struct tm tm = { 0 };

	if (!name_is_release(name) ||
	    sscanf(name, "%4d%2d%2d-%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return timegm(&tm);
}

/* A clock that was set back must not make a name that sorts before an older one. */
char *release_name(int64_t now_sec, const char *newest)
{
	int64_t last = time_of(newest);

	return name_at(last >= now_sec ? last + 1 : now_sec);
}

size_t release_choose(const struct release_record *releases, size_t count, uint32_t keep,
		      bool remove[])
{
	bool live_seen = false, previous_kept = false, failed_kept = false;
	uint32_t good_kept = 0;
	size_t removed = 0;

	/* the live one counts among those kept, wherever it stands */
	for (size_t i = 0; i < count; i++)
		if (releases[i].live && releases[i].state == RELEASE_STATE_GOOD)
			good_kept++;

	for (size_t i = 0; i < count; i++) {
		const struct release_record *r = &releases[i];
		bool kept = r->live || r->state == RELEASE_STATE_BUILDING;

		if (r->live) {
			live_seen = true;
		} else if (r->state == RELEASE_STATE_GOOD) {
			bool previous = live_seen && !previous_kept;

			kept = previous || good_kept < keep;
			if (previous)
				previous_kept = true;
			if (kept)
				good_kept++;
		} else if (r->state == RELEASE_STATE_FAILED) {
			kept = !failed_kept;
			failed_kept = true;
		}
		remove[i] = !kept && r->state != RELEASE_STATE_GONE;
		removed += remove[i];
	}
	return removed;
}

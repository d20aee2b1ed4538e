#pragma once

/* Which connections the listener takes: pure decisions over a table, so that they can be tested. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/macro.h"

struct limits {
	uint32_t total;           /* connections */
	uint32_t per_source;      /* of these from one source */
	uint32_t unauthenticated; /* of these that nobody has signed for yet */
	uint64_t
		stalled_usec; /* an unauthenticated one older than this may be given up */
};

/* An IPv4 address, or the /64 that one IPv6 host can roam in. */
struct limits_source {
	uint8_t bytes[8];
	bool v6;
};

struct limits_entry {
	struct limits_source source;
	uint64_t since_usec;
	bool authenticated;
};

/* An IPv4 address mapped into IPv6 counts as IPv4; all others than the two families are one source. */
struct limits_source limits_source_of(const struct sockaddr_storage *address);

enum {
	LIMITS_E_ADMIT,
	LIMITS_E_EVICT,  /* admit it and drop entry *ret_victim */
	LIMITS_E_REFUSE, /* drop the newcomer */
};

/*
 * Decide about a newcomer from `source` at now_usec, while `entries` are open. The victim of a limit is
 * the oldest stalled connection it concerns, so that somebody who holds connections open cannot keep others
 * out; only when none has stalled, the newcomer. Beyond half of `unauthenticated` that happens early, with a
 * chance that grows to certainty at the limit; `random` (uniform) decides.
 *
 * Returns one of the outcomes above.
 */
int limits_admit(const struct limits *limits, const struct limits_entry *entries,
		 size_t count, const struct limits_entry *newcomer, uint32_t random,
		 size_t *ret_victim) _must_check_;

/* Admission of connections. Runs in the listener. */

#include "sshd/limits.h"

#include <netinet/in.h>
#include <string.h>

struct limits_source limits_source_of(const struct sockaddr_storage *address)
{
	struct limits_source source = { 0 };

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		memcpy(source.bytes, &in->sin_addr, sizeof(in->sin_addr));
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			memcpy(source.bytes, in6->sin6_addr.s6_addr + 12, 4);
		} else {
			memcpy(source.bytes, in6->sin6_addr.s6_addr, 8);
			source.v6 = true;
		}
	}
	return source;
}

static bool same_source(const struct limits_source *a, const struct limits_source *b)
{
	return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct census {
	size_t total, from_source, unauthenticated;
	/* the oldest that nobody has signed for: of all, and from the same source */
	const struct limits_entry *oldest, *oldest_from_source;
};

static void census_add(struct census *census, const struct limits_entry *entry,
		       const struct limits_entry *newcomer)
{
	bool same = same_source(&entry->source, &newcomer->source);

	census->total++;
	census->from_source += same;
	if (entry->authenticated)
		return;
	census->unauthenticated++;
	if (!census->oldest || entry->since_usec < census->oldest->since_usec)
		census->oldest = entry;
	if (same && (!census->oldest_from_source ||
		     entry->since_usec < census->oldest_from_source->since_usec))
		census->oldest_from_source = entry;
}

/* Linear from no chance at half of the limit to certainty at the limit. */
static bool drop_early(size_t count, uint32_t limit, uint32_t random)
{
	uint32_t half = limit / 2;

	if (count >= limit)
		return true;
	if (count < half)
		return false;
	return (uint64_t)random * (limit - half) < (uint64_t)(count - half) * UINT32_MAX;
}

int limits_admit(const struct limits *limits, const struct limits_entry *entries,
		 size_t count, const struct limits_entry *newcomer, uint32_t random,
		 size_t *ret_victim)
{
	const struct limits_entry *victim;
	struct census census = { 0 };

	for (size_t i = 0; i < count; i++)
		census_add(&census, &entries[i], newcomer);

	if (census.from_source >= limits->per_source)
		victim = census.oldest_from_source;
	else if (census.total >= limits->total ||
		 drop_early(census.unauthenticated, limits->unauthenticated, random))
		victim = census.oldest;
	else
		return LIMITS_E_ADMIT;

	if (!victim || newcomer->since_usec - victim->since_usec < limits->stalled_usec)
		return LIMITS_E_REFUSE;
	*ret_victim = (size_t)(victim - entries);
	return LIMITS_E_EVICT;
}

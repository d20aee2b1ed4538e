#include "sshd/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SEC 1000000ull

static const struct limits limits = {
	.total = 20,
	.per_source = 4,
	.unauthenticated = 8,
	.stalled_usec = 2 * SEC,
};

static struct limits_source source_of(const char *text)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *in = (void *)&address;
	struct sockaddr_in6 *in6 = (void *)&address;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		address.ss_family = AF_INET6;
	return limits_source_of(&address);
}

static bool same(const char *a, const char *b)
{
	struct limits_source x = source_of(a), y = source_of(b);

	return memcmp(&x, &y, sizeof(x)) == 0;
}

static void test_sources(void **state)
{
	(void)state;
	assert_true(same("192.0.2.1", "192.0.2.1"));
	assert_false(same("192.0.2.1", "192.0.2.2"));
	assert_true(same("192.0.2.1", "::ffff:192.0.2.1"));
	assert_true(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
	assert_false(same("2001:db8:1:2::1", "2001:db8:1:3::1"));
	assert_false(same("c000:201::", "192.0.2.1"));
}

/* Each entry from a source of its own unless told otherwise. */
static struct limits_entry entry(unsigned int n, uint64_t since_usec, bool authenticated)
{
	struct limits_entry e = { .since_usec = since_usec,
				  .authenticated = authenticated };

	memcpy(e.source.bytes, &n, sizeof(n));
	return e;
}

static void test_total(void **state)
{
	struct limits_entry entries[20];
	struct limits_entry newcomer = entry(999, 100 * SEC, false);
	size_t victim = 99;

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		entries[i] = entry(i, i * SEC, true);
	assert_int_equal(limits_admit(&limits, entries, 19, &newcomer, 0, &victim),
			 LIMITS_E_ADMIT);
	assert_int_equal(limits_admit(&limits, entries, 20, &newcomer, 0, &victim),
			 LIMITS_E_REFUSE);
	/* one that has stalled makes room, one that is at it does not */
	entries[7].authenticated = false;
	assert_int_equal(limits_admit(&limits, entries, 20, &newcomer, 0, &victim),
			 LIMITS_E_EVICT);
	assert_int_equal(victim, 7);
	entries[7].since_usec = 99 * SEC;
	assert_int_equal(limits_admit(&limits, entries, 20, &newcomer, 0, &victim),
			 LIMITS_E_REFUSE);
}

static void test_per_source(void **state)
{
	struct limits_entry entries[6];
	struct limits_entry newcomer = entry(1, 100 * SEC, false);
	size_t victim = 99;

	(void)state;
	entries[0] = entry(2, 0, false);
	for (unsigned int i = 1; i < 5; i++)
		entries[i] = entry(1, i * SEC, true);
	entries[5] = entry(3, 0, false);
	assert_int_equal(limits_admit(&limits, entries, 4, &newcomer, 0, &victim),
			 LIMITS_E_ADMIT);
	assert_int_equal(limits_admit(&limits, entries, 6, &newcomer, 0, &victim),
			 LIMITS_E_REFUSE);
	entries[3].authenticated = false;
	entries[4].authenticated = false;
	assert_int_equal(limits_admit(&limits, entries, 6, &newcomer, 0, &victim),
			 LIMITS_E_EVICT);
	assert_int_equal(victim, 3); /* not those of other sources, though older */
	newcomer.source = entry(4, 0, false).source;
	assert_int_equal(limits_admit(&limits, entries, 6, &newcomer, UINT32_MAX,
				      &victim),
			 LIMITS_E_ADMIT);
}

static void test_early_drop(void **state)
{
	struct limits_entry entries[8];
	struct limits_entry newcomer = entry(999, 1 * SEC, false);
	size_t victim;

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		entries[i] = entry(i, 0, false);
	for (size_t n = 0; n <= 8; n++) {
		unsigned int refused = 0;

		for (uint32_t i = 0; i < 100; i++)
			refused += limits_admit(&limits, entries, n, &newcomer,
						i * (UINT32_MAX / 100),
						&victim) != LIMITS_E_ADMIT;
		print_message("%zu waiting: %u of 100 refused\n", n, refused);
		if (n <= 4)
			assert_int_equal(refused, 0);
		else
			assert_in_range(refused, (n - 4) * 25 - 1, (n - 4) * 25 + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_per_source),
		cmocka_unit_test(test_early_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

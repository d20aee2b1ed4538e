/* Names made so that a weaker hash puts them all into one slot, which would take hours here. */
#include "receiver/oidhash.h"

#include <string.h>

#include "base/macro.h"
#include "receiver/oidindex.h"
#include "receiver/oidset.h"
#include "tests/unit/unit.h"

#define COUNT (1u << 18)

static void put_words(git_oid *oid, uint64_t a, uint64_t b, uint32_t c)
{
	memcpy(oid->id, &a, sizeof(a));
	memcpy(oid->id + 8, &b, sizeof(b));
	memcpy(oid->id + 16, &c, sizeof(c));
}

static void make_sum(uint32_t i, git_oid *oid)
{
	uint64_t b = (uint64_t)i * 0x9e3779b97f4a7c15;

	put_words(oid, (b << 1) ^ 0x1234567890, b, 0);
}

static void make_last_bytes(uint32_t i, git_oid *oid)
{
	put_words(oid, 1, 2, i);
}

static void make_first_bytes(uint32_t i, git_oid *oid)
{
	put_words(oid, i, 0, 0);
}

static void make_high_bits(uint32_t i, git_oid *oid)
{
	put_words(oid, (uint64_t)(i & 511) << 55, (uint64_t)(i >> 9) << 55, 0);
}

static const struct {
	const char *what;
	void (*make)(uint32_t i, git_oid *oid);
} cases[] = {
	{ "the same sum of both words", make_sum },
	{ "only the last bytes differ", make_last_bytes },
	{ "only the first bytes differ", make_first_bytes },
	{ "only the high bits of words differ", make_high_bits },
};

static void test_set(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		_cleanup_(oidset_done) struct oidset set = { 0 };
		git_oid oid;

		for (uint32_t i = 0; i < COUNT; i++) {
			cases[c].make(i, &oid);
			assert_non_null(oidset_put(&set, &oid, NULL));
		}
		check_case(cases[c].what, set.count == COUNT);
	}
}

static void test_index(void **state)
{
	_cleanup_free_ git_oid *oids = calloc(COUNT, sizeof(*oids));

	(void)state;
	assert_non_null(oids);
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		_cleanup_(oidindex_done) struct oidindex index = { 0 };

		for (uint32_t i = 0; i < COUNT; i++) {
			cases[c].make(i, &oids[i]);
			assert_int_equal(oidindex_add(&index, oids, sizeof(*oids), i), 0);
		}
		check_case(cases[c].what, oidindex_find(&index, oids, sizeof(*oids),
							&oids[COUNT - 1]) == COUNT - 1);
	}
}

/* Another key is another order, and the same key the same one. */
static void test_key(void **state)
{
	const struct oidhash_key own = oidhash_key(), other = { own.a ^ 1, own.b };
	git_oid oid;

	(void)state;
	make_last_bytes(7, &oid);
	assert_true(oidhash(&own, &oid) == oidhash(&own, &oid));
	assert_true(oidhash(&own, &oid) != oidhash(&other, &oid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "receiver/oidindex.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

struct item {
	git_oid oid;
	int payload;
};

/* Names that differ only at one end or only in the middle: each finds itself and nothing else. */
static void test_many(void **state)
{
	enum {
		COUNT = 5000
	};
	_cleanup_free_ struct item *items = calloc(COUNT, sizeof(*items));
	_cleanup_(oidindex_done) struct oidindex index = { 0 };
	git_oid absent;

	(void)state;
	memset(&absent, 0xee, sizeof(absent));
	assert_int_equal(oidindex_find(&index, items, sizeof(*items), &absent),
			 OIDINDEX_NONE);
	for (uint32_t i = 0; i < COUNT; i++) {
		memcpy(items[i].oid.id + (i % 3) * 8, &i, sizeof(i));
		items[i].oid.id[19] ^= (uint8_t)(i % 3 + 1);
		assert_int_equal(oidindex_find(&index, items, sizeof(*items),
					       &items[i].oid),
				 OIDINDEX_NONE);
		assert_int_equal(oidindex_add(&index, items, sizeof(*items), i), 0);
	}
	assert_int_equal(index.count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(oidindex_find(&index, items, sizeof(*items),
					       &items[i].oid),
				 i);
	assert_int_equal(oidindex_find(&index, items, sizeof(*items), &absent),
			 OIDINDEX_NONE);
}

static void test_position_that_means_none(void **state)
{
	_cleanup_(oidindex_done) struct oidindex index = { 0 };
	struct item item = { 0 };

	(void)state;
	assert_int_equal(oidindex_add(&index, &item, sizeof(item), OIDINDEX_NONE),
			 -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_position_that_means_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/fuzz/fuzz.h"

#include <assert.h>

#include "home/env.h"

/* What a file says stays the same when it is written anew, and a variable can be added to any file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_env_ struct env env = { 0 }, again = { 0 };
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	const struct env_entry *entry;
	size_t at = 0, seen = 0;
	struct env_changes changes;

	if (env_changes_get(data, size, &changes) == 0)
		env_changes_done(&changes);
	if (env_parse(data, size, &env, NULL) < 0)
		return 0;
	assert(env_set(&env, "ADDED", "it's \"new\"", NULL) >= 0);

	env_render(&env, &buf);
	assert(env_parse(strbuf_get(&buf), buf.size, &again, NULL) == 0);
	while ((entry = env_next(&env, &at))) {
		const char *value = env_get(&again, entry->key);

		assert(value && str_equal(value, entry->value));
		seen++;
	}
	for (at = 0; env_next(&again, &at);)
		seen--;
	assert(seen == 0);
	return 0;
}

#include "protocol/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static int read_text(const char *text, struct settings **ret, struct error *err)
{
	FILE *stream = fmemopen((void *)text, strlen(text), "r");
	int r;

	assert_non_null(stream);
	r = settings_read(stream, "test.conf", ret, err);
	fclose(stream);
	return r;
}

static void test_presets(void **state)
{
	_cleanup_(settings_freep) struct settings *s = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(read_text("# nothing\n", &s, &err), 0);
	assert_string_equal(s->ssh_listen, "0.0.0.0:2222 [::]:2222");
	assert_int_equal(s->ports_first, 8001);
	assert_int_equal(s->releases_keep, 5);
	assert_int_equal(s->build_timeout_sec, 20 * 60);
	assert_true(s->build_memory_bytes == 2ull << 30);
}

static void test_values(void **state)
{
	_cleanup_(settings_freep) struct settings *s = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(read_text("[build]\nmemory = 512M\ntimeout = 2h\n"
				   "[ssh]\nlisten = [::1]:22 127.0.0.1:2022\n"
				   "[domain]\napex = example.org ; ours\n",
				   &s, &err),
			 0);
	assert_true(s->build_memory_bytes == 512ull << 20);
	assert_int_equal(s->build_timeout_sec, 7200);
	assert_string_equal(s->ssh_listen, "[::1]:22 127.0.0.1:2022");
	assert_string_equal(s->domain_apex, "example.org");
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *what;
		const char *text;
		const char *message; /* part of it */
	} cases[] = {
		{ "unknown section", "[shh]\nlisten = x\n",
		  "test.conf:2: unknown section" },
		{ "unknown key", "[ssh]\n\nlisen = x\n",
		  "test.conf:3: [ssh] has no key" },
		{ "no section", "listen = x\n", "before the first section" },
		{ "not a pair", "[ssh]\nlisten\n", "test.conf:2:" },
		{ "twice", "[ports]\nfirst = 8001\nfirst = 8002\n", "set in line 2" },
		{ "no number", "[releases]\nkeep = many\n", "write a number" },
		{ "negative", "[releases]\nkeep = -5\n", "write a number" },
		{ "too small", "[releases]\nkeep = 1\n", "from 2 to 1000" },
		{ "unit of another kind", "[build]\nmemory = 5min\n", "a size such as" },
		{ "overflow", "[build]\nmemory = 99999999999999T\n", "a size such as" },
		{ "no time", "[ssh]\nlogin_grace = soon\n", "a time such as" },
		{ "no port", "[ssh]\nlisten = 0.0.0.0\n", "addresses with ports" },
		{ "port 0", "[ssh]\nlisten = 0.0.0.0:0\n", "addresses with ports" },
		{ "bad address", "[ssh]\nlisten = host:22\n", "addresses with ports" },
		{ "half bracket", "[ssh]\nlisten = [::1:22\n", "addresses with ports" },
		{ "host with upper case", "[domain]\napex = Example.org\n",
		  "a host name" },
		{ "host for nginx", "[domain]\napex = a;b\n", "a host name" },
		{ "host with a dot at the end", "[domain]\napex = a.\n", "a host name" },
		{ "empty users", "[ssh]\nuser =\n", "user names" },
		{ "ports crossed", "[ports]\nfirst = 9000\n", "is above last" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(settings_freep) struct settings *s = NULL;
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = read_text(cases[i].text, &s, &err);

		if (r != -EINVAL || s ||
		    !strstr(error_text(&err, true), cases[i].message))
			fail_msg("%s: %d %s", cases[i].what, r, error_text(&err, true));
		assert_string_equal(error_code(&err), "CONFIG_INVALID");
	}
}

static void test_missing_file(void **state)
{
	_cleanup_(settings_freep) struct settings *s = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(settings_load("/nonexistent/hostkit.conf", &s, &err), -ENOENT);
	assert_string_equal(error_code(&err), "CONFIG_INVALID");
}

static void test_addresses(void **state)
{
	struct settings_address a[SETTINGS_LISTEN_MAX];

	(void)state;
	assert_int_equal(settings_addresses("127.0.0.1:80", a), 1);
	assert_int_equal(a[0].address.ss_family, AF_INET);
	assert_int_equal(settings_addresses(" [::]:1\t1.2.3.4:5 ", a), 2);
	assert_int_equal(a[0].address.ss_family, AF_INET6);
	assert_int_equal(settings_addresses("", a), -EINVAL);
	assert_int_equal(settings_addresses("1.1.1.1:1 1.1.1.1:2 1.1.1.1:3 1.1.1.1:4 "
					    "1.1.1.1:5 1.1.1.1:6 1.1.1.1:7 1.1.1.1:8 "
					    "1.1.1.1:9",
					    a),
			 -EINVAL);
}

/* Each key stands in the file we ship, commented out with its default and explained. */
static void test_shipped_file(void **state)
{
	_cleanup_(settings_freep) struct settings *s = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	FILE *stream = fopen(HOSTKIT_SOURCE_DIR "/packaging/hostkit.conf", "re");
	const char *at;
	size_t count, size;
	const struct settings_key *keys = settings_keys(&count);

	(void)state;
	assert_non_null(stream);
	text = calloc(1, 65536);
	assert_non_null(text);
	size = fread(text, 1, 65535, stream);
	assert_true(size > 0);
	fclose(stream);

	assert_int_equal(settings_load(HOSTKIT_SOURCE_DIR "/packaging/hostkit.conf", &s,
				       &err),
			 0);
	at = text;
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *section = str_format("\n[%s]\n", keys[i].section);
		_cleanup_free_ char *entry = str_format("\n# %s\n#%s = %s\n", keys[i].doc,
							keys[i].key, keys[i].preset);

		assert_non_null(section);
		assert_non_null(entry);
		if (i == 0 || !str_equal(keys[i].section, keys[i - 1].section))
			at = strstr(at, section);
		if (!at || !strstr(at, entry))
			fail_msg("packaging/hostkit.conf lacks%s", entry);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_presets),   cmocka_unit_test(test_values),
		cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_shipped_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

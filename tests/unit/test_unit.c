#include "hostkitd/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 * What systemd makes of one double-quoted word, written from systemd.syntax(7) and systemd.unit(5): the
 * escapes are undone, then specifiers and, in ExecStart=, '$'. Returns NULL for anything that is not
 * exactly one word on one line.
 */
static char *systemd_reads(const char *s, bool exec)
{
	_cleanup_strbuf_ struct strbuf raw = { 0 }, out = { 0 };
	size_t n = strlen(s);
	const char *p;

	if (n < 2 || s[0] != '"' || s[n - 1] != '"')
		return NULL;
	for (size_t i = 1; i < n - 1; i++) {
		unsigned int c;

		if (s[i] == '"' || s[i] == '\n')
			return NULL;
		if (s[i] != '\\') {
			strbuf_char(&raw, s[i]);
			continue;
		}
		if (s[i + 1] != 'x' || sscanf(s + i + 2, "%2x", &c) != 1 || c == 0)
			return NULL;
		strbuf_char(&raw, (char)c);
		i += 3;
	}
	for (p = strbuf_get(&raw); *p; p++) {
		if (*p == '%' || (*p == '$' && exec)) {
			if (p[1] != *p)
				return NULL; /* a specifier or a variable */
			p++;
		}
		strbuf_char(&out, *p);
	}
	return out.size ? strbuf_steal(&out) : strdup("");
}

static void check(const char *s)
{
	for (int exec = 0; exec < 2; exec++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		_cleanup_free_ char *back = NULL;

		unit_escape(&buf, s, exec);
		back = systemd_reads(strbuf_get(&buf), exec);
		if (!back || !str_equal(back, s))
			fail_msg("%s is read back as %s", strbuf_get(&buf),
				 back ? back : "nothing");
	}
}

static void test_escape_named(void **state)
{
	static const char *const cases[] = {
		"",        "shop",     "two words",
		"a\"b",    "a'b",      "a\\b",
		"100%",    "%h/%n",    "$HOME",
		"${X}",    "a\nb",     "a\n[Service]\nUser=root",
		"\t\r\v",  "\x01\x7f", "\xc3\xa9\xff",
		"#note",   "; rest",   "\\x41",
		"trail\\", "\"",       "-@:+!/bin/sh",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(cases[i]);
}

/* A property: whatever goes in comes back, for ten thousand texts drawn with a bias to what is special. */
static void test_escape_any(void **state)
{
	static const char special[] = "\"'\\%$\n\r\t #;[]=x41n";
	uint32_t seed = 20250215;

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		char text[24];
		size_t n = i % sizeof(text);

		for (size_t j = 0; j < n; j++) {
			seed = seed * 1664525u + 1013904223u;
			text[j] = seed >> 31
					  ? special[(seed >> 16) % (sizeof(special) - 1)]
					  : (char)(1 + (seed >> 16) % 255);
		}
		text[n ? n - 1 : 0] = '\0';
		check(text);
	}
}

static void expect_line(const struct strbuf *text, const char *line)
{
	_cleanup_free_ char *framed = str_format("\n%s\n", line);

	assert_non_null(framed);
	if (!strstr(strbuf_get(text), framed))
		fail_msg("no line %s in\n%s", line, strbuf_get(text));
}

#define RUN HOSTKIT_LIBEXEC_DIR "/hostkit-run \"/home/shop\" "

static void test_text(void **state)
{
	static const struct {
		uint32_t runtime;
		const char *start;
		const char *directory;
	} cases[] = {
		{ RUNTIME_PYTHON,
		  "ExecStart=" RUN "\"/home/shop/venv/bin/python\" -m app",
		  "WorkingDirectory=/home/shop" },
		{ RUNTIME_NODE,
		  "ExecStart=" RUN "/usr/bin/node \"/home/shop/app/index.js\"",
		  "WorkingDirectory=/home/shop/app" },
		{ RUNTIME_NEXTJS, "ExecStart=" RUN "/usr/bin/npm start",
		  "WorkingDirectory=/home/shop/app" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct project p = { .name = (char *)"shop",
					   .runtime = cases[i].runtime };
		_cleanup_strbuf_ struct strbuf text = { 0 };

		assert_int_equal(unit_text(&p, &text), 0);
		expect_line(&text, cases[i].start);
		expect_line(&text, cases[i].directory);
		/* root must not read what the project wrote */
		assert_null(strstr(strbuf_get(&text), "EnvironmentFile"));
		expect_line(&text, "User=shop");
		expect_line(&text, "Group=shop");
		expect_line(&text, "Restart=always");
		expect_line(&text, "RestartSec=5");
		expect_line(&text, "NoNewPrivileges=yes");
		expect_line(&text,
			    "StandardOutput=append:/var/log/projects/shop/app.log");
		expect_line(&text,
			    "StandardError=append:/var/log/projects/shop/error.log");
		expect_line(&text, "WantedBy=multi-user.target");
	}
	assert_false(unit_is_wanted(RUNTIME_STATIC));
	assert_true(unit_is_wanted(RUNTIME_NODE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape_named),
		cmocka_unit_test(test_escape_any),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

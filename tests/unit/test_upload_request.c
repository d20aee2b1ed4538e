#include "receiver/upload_request.h"

#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "tests/unit/unit.h"

#define OID "0123456789abcdef0123456789abcdef01234567"

typedef int (*line_parser)(struct upload_request *request, const char *line,
			   struct error *err);

static void test_good_lines(void **state)
{
	_cleanup_upload_request_ struct upload_request v0 = { 0 }, v2 = { 0 };
	static const char *const both[] = {
		"shallow 0123456789abcdef0123456789abcdef01234567",
		"shallow 0123456789ABCDEF0123456789abcdef01234567", "deepen 3",
		"deepen-since 1500000000", "deepen-not v1"
	};
	static const char *const flags[] = {
		"thin-pack",
		"ofs-delta",
		"no-progress",
		"include-tag",
		"done",
		"wait-for-done",
		"deepen-relative",
		"have 0123456789abcdef0123456789abcdef01234567"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		check_case(both[i], upload_request_line_v0(&v0, both[i], NULL) == 0);
		check_case(both[i], upload_request_line_v2(&v2, both[i], NULL) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		check_case(flags[i], upload_request_line_v2(&v2, flags[i], NULL) == 0);
	assert_int_equal(upload_request_line_v2(&v2, "want " OID, NULL), 0);
	assert_int_equal(v2.wants.count, 1);
	assert_int_equal(v2.haves.count, 1);
	assert_int_equal(v2.shallows.count, 2);
	assert_int_equal(v2.depth, 3);
	assert_int_equal(v2.since, 1500000000);
	assert_int_equal(v2.not_refs.count, 1);
	assert_string_equal(v2.not_refs.words[0], "v1");
	assert_true(v2.thin && v2.ofs_delta && v2.no_progress && v2.include_tag &&
		    v2.done && v2.wait_for_done && v2.depth_relative);
	assert_true(upload_request_deepens(&v0) && upload_request_deepens(&v2));
}

static void test_features(void **state)
{
	static const struct {
		const char *list;
		enum upload_multi_ack ack;
		size_t band_max;
		bool thin, ofs_delta, no_done;
	} cases[] = {
		{ "", UPLOAD_ACK_ONCE, 0, false, false, false },
		{ " multi_ack", UPLOAD_ACK_MULTI, 0, false, false, false },
		{ " multi_ack_detailed no-done side-band-64k thin-pack ofs-delta agent=git/2",
		  UPLOAD_ACK_DETAILED, PKTLINE_MAX, true, true, true },
		{ " side-band", UPLOAD_ACK_ONCE, 1000, false, false, false },
		{ " side-band side-band-64k", UPLOAD_ACK_ONCE, PKTLINE_MAX, false, false,
		  false },
		{ " xmulti_ack multi_ackx side-band-6 ofs-delta2", UPLOAD_ACK_ONCE, 0,
		  false, false, false },
		{ "  \t ofs-delta\t", UPLOAD_ACK_ONCE, 0, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_upload_request_ struct upload_request r = { 0 };
		_cleanup_free_ char *line = str_format("want %s%s", OID, cases[i].list);

		check_case(cases[i].list, upload_request_line_v0(&r, line, NULL) == 0);
		check_case(cases[i].list, r.multi_ack == cases[i].ack);
		check_case(cases[i].list, r.band_max == cases[i].band_max);
		check_case(cases[i].list, r.thin == cases[i].thin &&
						  r.ofs_delta == cases[i].ofs_delta &&
						  r.no_done == cases[i].no_done);
	}
}

static void test_bad_lines(void **state)
{
	static const struct {
		line_parser parse;
		const char *line, *message;
	} cases[] = {
		{ upload_request_line_v0, "", "expected to get object ID, not ''" },
		{ upload_request_line_v0, "want", "not 'want'" },
		{ upload_request_line_v0, "want 0123", "not 'want 0123'" },
		{ upload_request_line_v0, "want 0123456789abcdef0123456789abcdef0123456g",
		  "expected to get object ID" },
		{ upload_request_line_v0, "have 0123456789abcdef0123456789abcdef01234567",
		  "expected to get object ID" },
		{ upload_request_line_v0, "filter blob:none",
		  "filtering capability not negotiated" },
		{ upload_request_line_v0, "shallow " OID "0", "invalid shallow line" },
		{ upload_request_line_v0, "deepen 0", "Invalid deepen: " },
		{ upload_request_line_v0, "deepen -1", "Invalid deepen: " },
		{ upload_request_line_v0, "deepen 99999999999", "Invalid deepen: " },
		{ upload_request_line_v0, "deepen ", "Invalid deepen: " },
		{ upload_request_line_v0, "deepen-since x", "Invalid deepen-since: " },
		{ upload_request_line_v0, "deepen-since 0", "Invalid deepen-since: " },
		{ upload_request_line_v2, "", "unexpected line: ''" },
		{ upload_request_line_v2, "want " OID " thin-pack",
		  "expected to get oid, not" },
		{ upload_request_line_v2, "want \033[1m", "not 'want \\x1b[1m'" },
		{ upload_request_line_v2, "have 12", "expected SHA1 object, got '12'" },
		{ upload_request_line_v2, "filter blob:none", "unexpected line: " },
		{ upload_request_line_v2, "thin-pack ", "unexpected line: " },
		{ upload_request_line_v2, "want-ref refs/heads/main", "unexpected line" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_upload_request_ struct upload_request r = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;

		check_case(cases[i].line,
			   cases[i].parse(&r, cases[i].line, &err) == -EPROTO);
		check_case(cases[i].line, strstr(err.message, cases[i].message));
		check_case(cases[i].line, r.wants.count == 0 && r.haves.count == 0);
	}
}

static void test_too_many(void **state)
{
	_cleanup_upload_request_ struct upload_request r = { 0 };
	_cleanup_upload_ls_refs_ struct upload_ls_refs ls = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	int result = 0;

	(void)state;
	for (size_t i = 0; i < UPLOAD_WORDS_MAX; i++)
		result |= upload_request_line_v2(&r, "deepen-not x", NULL);
	assert_int_equal(result, 0);
	assert_int_equal(upload_request_line_v2(&r, "deepen-not x", &err), -E2BIG);
	assert_string_equal(error_text(&err, false), "too many deepen-not");

	/* as git: too many prefixes are as good as none */
	for (size_t i = 0; i <= UPLOAD_WORDS_MAX; i++)
		result |= upload_ls_refs_line(&ls, "ref-prefix x", NULL);
	assert_int_equal(result, 0);
	assert_true(ls.everything);
}

/* Write the text, in which '|' is a flush and '/' a delim and words are lines, as packets to a pipe. */
static void read_from(struct pktline_reader *reader, const char *text)
{
	struct pktline_writer writer;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pktline_writer_init(&writer, fds[1]);
	while (*text) {
		size_t n = strcspn(text, " ");
		_cleanup_free_ char *word = strndup(text, n);

		if (str_equal(word, "|"))
			pktline_put_flush(&writer);
		else if (str_equal(word, "/"))
			pktline_put_delim(&writer);
		else if (str_equal(word, "."))
			pktline_put_end(&writer);
		else
			pktline_format(&writer, "%s\n", word);
		text += n + strspn(text + n, " ");
	}
	assert_int_equal(pktline_send(&writer), 0);
	pktline_writer_done(&writer);
	fd_close(fds[1]);
	assert_int_equal(pktline_reader_init(reader, fds[0]), 0);
}

static void test_commands(void **state)
{
	static const struct {
		const char *packets;
		int result;
		enum upload_command command;
		bool arguments;
		const char *message;
	} cases[] = {
		{ "command=fetch |", 0, UPLOAD_COMMAND_FETCH, false, NULL },
		{ "command=fetch /", 0, UPLOAD_COMMAND_FETCH, true, NULL },
		{ "agent=git/2 command=ls-refs object-format=sha1 server-option=x /", 0,
		  UPLOAD_COMMAND_LS_REFS, true, NULL },
		{ "command=object-info |", 0, UPLOAD_COMMAND_OBJECT_INFO, false, NULL },
		{ "|", 0, UPLOAD_COMMAND_NONE, false, NULL },
		{ "", 0, UPLOAD_COMMAND_NONE, false, NULL },
		{ "command=fetch", -EPROTO, 0, false, "hung up unexpectedly" },
		{ "agent=x |", -EPROTO, 0, false, "no command requested" },
		{ "/", -EPROTO, 0, false, "no command requested" },
		{ ".", -EPROTO, 0, false, "unexpected response end" },
		{ "command=push |", -EPROTO, 0, false, "invalid command 'push'" },
		{ "command= |", -EPROTO, 0, false, "invalid command ''" },
		{ "command=fetch command=fetch |", -EPROTO, 0, false, "already" },
		{ "command=fetch session-id=1 |", -EPROTO, 0, false,
		  "unknown capability 'session-id=1'" },
		{ "command=fetch object-format=sha256 |", -EPROTO, 0, false,
		  "mismatched object format: server sha1; client 'sha256'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		struct pktline_reader reader;
		enum upload_command command = UPLOAD_COMMAND_NONE;
		bool arguments = false;
		int r;

		read_from(&reader, cases[i].packets);
		r = upload_command_read(&reader, &command, &arguments, &err);
		check_case(cases[i].packets, r == cases[i].result);
		if (r < 0)
			check_case(cases[i].packets,
				   strstr(err.message, cases[i].message));
		else
			check_case(cases[i].packets,
				   command == cases[i].command &&
					   arguments == cases[i].arguments);
		fd_close(reader.fd);
		pktline_reader_done(&reader);
	}
}

static void test_ls_refs(void **state)
{
	_cleanup_upload_ls_refs_ struct upload_ls_refs ls = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(upload_ls_refs_line(&ls, "peel", NULL), 0);
	assert_int_equal(upload_ls_refs_line(&ls, "symrefs", NULL), 0);
	assert_int_equal(upload_ls_refs_line(&ls, "unborn", NULL), 0);
	assert_int_equal(upload_ls_refs_line(&ls, "ref-prefix refs/heads/", NULL), 0);
	assert_true(ls.peel && ls.symrefs && ls.unborn && !ls.everything);
	assert_int_equal(ls.prefixes.count, 1);
	assert_string_equal(ls.prefixes.words[0], "refs/heads/");
	assert_int_equal(upload_ls_refs_line(&ls, "peels", &err), -EPROTO);
	assert_string_equal(error_text(&err, false), "unexpected line: 'peels'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_lines), cmocka_unit_test(test_features),
		cmocka_unit_test(test_bad_lines),  cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_commands),   cmocka_unit_test(test_ls_refs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "protocol/record.h"

#include "tests/unit/unit.h"

#define S(text) ((char *)(text)) /* borrowed: never given to a _done() */

static const struct unit_record unit = {
	.active = S("active"),
	.sub = S("running"),
	.result = S("success"),
	.main_pid = 4711,
	.restarts = 2,
	.exit_status = 137,
	.since_usec = 1234567890123456,
	.memory_bytes = UINT64_MAX,
};

static void check_unit(const struct unit_record *got)
{
	assert_string_equal(got->active, "active");
	assert_string_equal(got->sub, "running");
	assert_string_equal(got->result, "success");
	assert_int_equal(got->main_pid, 4711);
	assert_int_equal(got->restarts, 2);
	assert_int_equal(got->exit_status, 137);
	assert_true(got->since_usec == 1234567890123456);
	assert_true(got->memory_bytes == UINT64_MAX);
}

static void put_project(struct strbuf *buf)
{
	const struct project_record record = {
		.name = S("shop"),
		.runtime = RUNTIME_NODE,
		.port = 8001,
		.branch = S("main"),
		.release = S("20250215-120000"),
		.commit = S("c0ffee"),
		.url = S("https://shop.example"),
		.created_sec = -1,
		.created_by = S("laptop"),
		.unit = unit,
	};

	project_record_put(buf, &record);
}

static void get_project(struct wire *w)
{
	_cleanup_record_(project_record) struct project_record r;

	project_record_get(w, &r);
	if (wire_end(w) < 0)
		return;
	assert_string_equal(r.name, "shop");
	assert_int_equal(r.runtime, RUNTIME_NODE);
	assert_int_equal(r.port, 8001);
	assert_string_equal(r.branch, "main");
	assert_string_equal(r.release, "20250215-120000");
	assert_string_equal(r.commit, "c0ffee");
	assert_string_equal(r.url, "https://shop.example");
	assert_int_equal(r.created_sec, -1);
	assert_string_equal(r.created_by, "laptop");
	check_unit(&r.unit);
}

static void put_key(struct strbuf *buf)
{
	const struct key_record record = {
		.name = S("ci"),
		.role = ROLE_DEPLOY,
		.project = S("shop"),
		.type = S("ssh-ed25519"),
		.fingerprint = S("SHA256:x"),
		.comment = NULL,
		.added_sec = 17,
		.used_sec = 0,
	};

	key_record_put(buf, &record);
}

static void get_key(struct wire *w)
{
	_cleanup_record_(key_record) struct key_record r;

	key_record_get(w, &r);
	if (wire_end(w) < 0)
		return;
	assert_string_equal(r.name, "ci");
	assert_int_equal(r.role, ROLE_DEPLOY);
	assert_string_equal(r.project, "shop");
	assert_string_equal(r.type, "ssh-ed25519");
	assert_string_equal(r.fingerprint, "SHA256:x");
	assert_string_equal(r.comment, "");
	assert_int_equal(r.added_sec, 17);
	assert_int_equal(r.used_sec, 0);
}

static void put_release(struct strbuf *buf)
{
	const struct release_record record = {
		.name = S("20250215-120000"),
		.state = RELEASE_STATE_GOOD,
		.live = true,
		.commit = S("c0ffee"),
		.branch = S("main"),
		.by = S("ci"),
		.created_sec = 5,
		.job = 6,
	};

	release_record_put(buf, &record);
}

static void get_release(struct wire *w)
{
	_cleanup_record_(release_record) struct release_record r;

	release_record_get(w, &r);
	if (wire_end(w) < 0)
		return;
	assert_string_equal(r.name, "20250215-120000");
	assert_int_equal(r.state, RELEASE_STATE_GOOD);
	assert_true(r.live);
	assert_string_equal(r.commit, "c0ffee");
	assert_string_equal(r.branch, "main");
	assert_string_equal(r.by, "ci");
	assert_int_equal(r.created_sec, 5);
	assert_int_equal(r.job, 6);
}

static void put_job(struct strbuf *buf)
{
	const struct job_record record = {
		.id = 1,
		.kind = JOB_KIND_ROLLBACK,
		.state = JOB_STATE_FAILED,
		.project = S("shop"),
		.by = S("ci"),
		.step = S("build"),
		.release = S("r"),
		.commit = S("c"),
		.exit_status = 5,
		.message = S("build failed"),
		.created_sec = 2,
		.started_sec = 3,
		.ended_sec = 4,
	};

	job_record_put(buf, &record);
}

static void get_job(struct wire *w)
{
	_cleanup_record_(job_record) struct job_record r;

	job_record_get(w, &r);
	if (wire_end(w) < 0)
		return;
	assert_int_equal(r.id, 1);
	assert_int_equal(r.kind, JOB_KIND_ROLLBACK);
	assert_int_equal(r.state, JOB_STATE_FAILED);
	assert_string_equal(r.project, "shop");
	assert_string_equal(r.by, "ci");
	assert_string_equal(r.step, "build");
	assert_string_equal(r.release, "r");
	assert_string_equal(r.commit, "c");
	assert_int_equal(r.exit_status, 5);
	assert_string_equal(r.message, "build failed");
	assert_int_equal(r.created_sec, 2);
	assert_int_equal(r.started_sec, 3);
	assert_int_equal(r.ended_sec, 4);
}

static void put_details(struct strbuf *buf)
{
	const struct job_details record = {
		.runtime = RUNTIME_STATIC,
		.port = 8002,
		.branch = S("main"),
		.live_release = S("l"),
		.old_commit = S("o"),
		.target = S("t"),
		.url = S("u"),
		.push_options = PUSH_OPTION_DETACH,
		.health_timeout_sec = 120,
		.output_max_bytes = 1 << 20,
	};

	job_details_put(buf, &record);
}

static void get_details(struct wire *w)
{
	_cleanup_record_(job_details) struct job_details r;

	job_details_get(w, &r);
	if (wire_end(w) < 0)
		return;
	assert_int_equal(r.runtime, RUNTIME_STATIC);
	assert_int_equal(r.port, 8002);
	assert_string_equal(r.branch, "main");
	assert_string_equal(r.live_release, "l");
	assert_string_equal(r.old_commit, "o");
	assert_string_equal(r.target, "t");
	assert_string_equal(r.url, "u");
	assert_int_equal(r.push_options, PUSH_OPTION_DETACH);
	assert_int_equal(r.health_timeout_sec, 120);
	assert_int_equal(r.output_max_bytes, 1 << 20);
}

static const struct {
	const char *what;
	void (*put)(struct strbuf *buf);
	void (*get)(struct wire *w);
} records[] = {
	{ "project", put_project, get_project }, { "key", put_key, get_key },
	{ "release", put_release, get_release }, { "job", put_job, get_job },
	{ "details", put_details, get_details },
};

/* What one end writes the other reads, field by field, and nothing is left. */
static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		struct wire w;

		records[i].put(&buf);
		check_case(records[i].what, !strbuf_failed(&buf));
		w = wire_reader(buf.data, buf.size);
		records[i].get(&w);
		check_case(records[i].what, wire_end(&w) == 0);
	}
}

/* Cut anywhere, or longer than it should be, it is refused without leaking. */
static void test_wrong_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		struct wire w;

		records[i].put(&buf);
		for (size_t n = 0; n < buf.size; n++) {
			w = wire_reader(buf.data, n);
			records[i].get(&w);
			check_case(records[i].what, wire_end(&w) == -EBADMSG);
		}
		strbuf_char(&buf, 'x');
		w = wire_reader(buf.data, buf.size);
		records[i].get(&w);
		check_case(records[i].what, wire_end(&w) == -EBADMSG);
	}
}

static void test_text_too_long(void **state)
{
	_cleanup_strbuf_ struct strbuf text = { 0 }, buf = { 0 };
	struct key_record record = { 0 };
	_cleanup_record_(key_record) struct key_record got;
	struct wire w;

	(void)state;
	for (int i = 0; i < REQUEST_TEXT_MAX + 1; i++)
		strbuf_char(&text, 'x');
	record.name = text.data;
	key_record_put(&buf, &record);
	w = wire_reader(buf.data, buf.size);
	key_record_get(&w, &got);
	assert_int_equal(wire_end(&w), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_text_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

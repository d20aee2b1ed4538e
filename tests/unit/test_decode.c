#include "hostkitd/decode.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/wire.h"

#define OID "0123456789abcdef0123456789abcdef01234567"

/* A message that is right for each request: n name, t text, v number, V second number, ... */
static const struct {
	uint32_t op;
	const char *
		fields; /* s string, u number, k key, o object name, j job, F descriptor */
} right[] = {
	{ REQUEST_AUTH_PROBE, "k" },
	{ REQUEST_AUTH_KEY, "ks" },
	{ REQUEST_OPEN_GIT, "usu" },
	{ REQUEST_OPEN_VERB, "" },
	{ REQUEST_WHOAMI, "" },
	{ REQUEST_PROJECT_LIST, "" },
	{ REQUEST_PROJECT_INFO, "s" },
	{ REQUEST_PROJECT_RESTART, "s" },
	{ REQUEST_KEY_ADD, "susks" },
	{ REQUEST_KEY_LIST, "" },
	{ REQUEST_KEY_REMOVE, "s" },
	{ REQUEST_RELEASE_LIST, "s" },
	{ REQUEST_JOB_LIST, "su" },
	{ REQUEST_JOB_LOG, "j" },
	{ REQUEST_LOG_OPEN, "su" },
	{ REQUEST_ENV_OPEN, "su" },
	{ REQUEST_START_PROVISION, "su" },
	{ REQUEST_START_DELETE, "s" },
	{ REQUEST_START_ROLLBACK, "ss" },
	{ REQUEST_PUSH_ACCEPT, "soou" },
	{ REQUEST_JOB_HELLO, "j" },
	{ REQUEST_JOB_INFO, "" },
	{ REQUEST_JOB_STEP, "su" },
	{ REQUEST_JOB_VIEWERS, "" },
	{ REQUEST_RELEASE_CREATE, "" },
	{ REQUEST_BUILD_START, "sF" },
	{ REQUEST_BUILD_ATTACH, "" },
	{ REQUEST_BUILD_STOP, "" },
	{ REQUEST_RELEASE_SWITCH, "s" },
	{ REQUEST_RELEASE_MARK, "su" },
	{ REQUEST_RELEASE_DROP, "s" },
	{ REQUEST_RELEASE_PRUNE, "" },
	{ REQUEST_REF_UPDATE, "" },
	{ REQUEST_UNIT_CONTROL, "u" },
	{ REQUEST_UNIT_STATE, "" },
	{ REQUEST_JOB_LOG_OPEN, "u" },
	{ REQUEST_PROVISION_STEP, "uu" },
	{ REQUEST_JOB_END, "uss" },
};

static void put_fields(struct strbuf *buf, const char *fields)
{
	for (; *fields; fields++)
		switch (*fields) {
		case 's':
			wire_put_string(buf, "shop");
			break;
		case 'k':
			wire_put_bytes(buf, "key", 3);
			break;
		case 'o':
			wire_put_string(buf, OID);
			break;
		case 'j':
			wire_put_i64(buf, 7);
			break;
		case 'u':
			wire_put_u32(buf, 1);
			break;
		default:
			break;
		}
}

static struct packet packet_of(uint32_t op, const char *fields, size_t fds)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	struct packet packet = { 0 };

	wire_put_u32(&buf, op);
	wire_put_u32(&buf, 99);
	put_fields(&buf, fields);
	packet.size = buf.size;
	packet.data = (uint8_t *)strbuf_steal(&buf);
	assert_non_null(packet.data);
	for (size_t i = 0; i < fds; i++)
		packet.fds[packet.fd_count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return packet;
}

static int decode(uint32_t op, const char *fields, size_t fds, enum phase phase,
		  uint64_t used)
{
	_cleanup_(request_args_done) struct request_args args = { .fd = -EBADF };
	_cleanup_packet_ struct packet packet = packet_of(op, fields, fds);
	_cleanup_error_ struct error err = ERROR_INIT;
	int r = request_decode(&packet, phase, used, &args, &err);

	if (r < 0)
		assert_null(err.code); /* never an answer, always the end */
	else
		assert_int_equal(args.serial, 99);
	return r;
}

static size_t fds_of(const char *fields)
{
	return strchr(fields, 'F') ? 1 : 0;
}

static void test_right(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(right), _REQUEST_N);
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		const char *f = right[i].fields;

		assert_int_equal(right[i].op, i);
		if (decode(right[i].op, f, fds_of(f), request_phase(right[i].op), 0) != 0)
			fail_msg("%s is not understood", request_name(right[i].op));
	}
}

static void test_every_wrong_phase(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		for (uint32_t phase = 0; phase < _PHASE_N; phase++) {
			const char *f = right[i].fields;
			int r;

			if (phase == request_phase(right[i].op))
				continue;
			r = decode(right[i].op, f, fds_of(f), (enum phase)phase, 0);
			if (r != -EPROTO)
				fail_msg("%s in phase %u: %d", request_name(right[i].op),
					 phase, r);
		}
}

static void test_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		const char *f = right[i].fields;
		int r = decode(right[i].op, f, fds_of(f), request_phase(right[i].op),
			       1ull << right[i].op);

		if (r != (request_is_once(right[i].op) ? -EPROTO : 0))
			fail_msg("%s a second time: %d", request_name(right[i].op), r);
	}
	assert_true(request_is_once(REQUEST_PUSH_ACCEPT));
	assert_true(request_is_once(REQUEST_JOB_END));
}

/* Every message cut off at every byte, and with a byte too many. */
static void test_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		const char *f = right[i].fields;
		_cleanup_packet_ struct packet whole = packet_of(right[i].op, f, 0);

		for (size_t size = 0; size <= whole.size + 1; size++) {
			_cleanup_(request_args_done) struct request_args args = {
				.fd = -EBADF
			};
			_cleanup_packet_ struct packet p =
				packet_of(right[i].op, f, fds_of(f));
			_cleanup_error_ struct error err = ERROR_INIT;

			if (size == whole.size)
				continue;
			p.data = realloc(p.data, size + 1);
			assert_non_null(p.data);
			if (size > whole.size)
				p.data[whole.size] = 0;
			p.size = size;
			if (request_decode(&p, request_phase(right[i].op), 0, &args,
					   &err) != -EBADMSG)
				fail_msg("%s of %zu bytes is understood",
					 request_name(right[i].op), size);
		}
	}
}

static void test_descriptors(void **state)
{
	(void)state;
	assert_int_equal(decode(REQUEST_BUILD_START, "s", 0, PHASE_JOB, 0), -EBADMSG);
	assert_int_equal(decode(REQUEST_BUILD_START, "s", 2, PHASE_JOB, 0), -EBADMSG);
	assert_int_equal(decode(REQUEST_WHOAMI, "", 1, PHASE_COMMAND, 0), -EBADMSG);
}

static void test_unknown(void **state)
{
	(void)state;
	assert_int_equal(decode(_REQUEST_N, "", 0, PHASE_COMMAND, 0), -EPROTO);
	assert_int_equal(decode(UINT32_MAX, "", 0, PHASE_COMMAND, 0), -EPROTO);
}

static int decode_value(uint32_t op, const char *before, uint32_t value,
			const char *after)
{
	_cleanup_(request_args_done) struct request_args args = { .fd = -EBADF };
	_cleanup_packet_ struct packet packet = { 0 };
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;

	wire_put_u32(&buf, op);
	wire_put_u32(&buf, 1);
	put_fields(&buf, before);
	wire_put_u32(&buf, value);
	put_fields(&buf, after);
	packet.size = buf.size;
	packet.data = (uint8_t *)strbuf_steal(&buf);
	return request_decode(&packet, request_phase(op), 0, &args, &err);
}

static void test_values(void **state)
{
	static const struct {
		uint32_t op;
		const char *before, *after;
		uint32_t max;
	} cases[] = {
		{ REQUEST_OPEN_GIT, "", "su", _GIT_SERVICE_N - 1 },
		{ REQUEST_OPEN_GIT, "us", "", 2 },
		{ REQUEST_KEY_ADD, "s", "sks", _ROLE_N - 1 },
		{ REQUEST_LOG_OPEN, "s", "", _LOG_KIND_N - 1 },
		{ REQUEST_ENV_OPEN, "s", "", _ENV_MODE_N - 1 },
		{ REQUEST_START_PROVISION, "s", "", _RUNTIME_N - 1 },
		{ REQUEST_PUSH_ACCEPT, "soo", "", 3 },
		{ REQUEST_JOB_STEP, "s", "", _STEP_STATE_N - 1 },
		{ REQUEST_RELEASE_MARK, "s", "", RELEASE_STATE_FAILED },
		{ REQUEST_UNIT_CONTROL, "", "", _UNIT_ACTION_N - 1 },
		{ REQUEST_PROVISION_STEP, "", "u", _PROVISION_STEP_N - 1 },
		{ REQUEST_PROVISION_STEP, "u", "", _STEP_ACTION_N - 1 },
		{ REQUEST_JOB_END, "", "ss", 254 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint32_t op = cases[i].op;

		assert_int_equal(decode_value(op, cases[i].before, cases[i].max,
					      cases[i].after),
				 0);
		if (decode_value(op, cases[i].before, cases[i].max + 1, cases[i].after) !=
		    -EBADMSG)
			fail_msg("%s takes %u", request_name(op), cases[i].max + 1);
	}
}

static void test_texts(void **state)
{
	static const struct {
		const char *what;
		const char *old;
		size_t ref_size;
	} cases[] = {
		{ "short object name", "0123", 4 },
		{ "upper case object name", "0123456789ABCDEF0123456789abcdef01234567",
		  4 },
		{ "long ref", OID, REQUEST_REF_MAX + 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(request_args_done) struct request_args args = { .fd = -EBADF };
		_cleanup_packet_ struct packet packet = { 0 };
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		_cleanup_free_ char *ref = calloc(1, cases[i].ref_size + 1);

		assert_non_null(ref);
		memset(ref, 'r', cases[i].ref_size);
		wire_put_u32(&buf, REQUEST_PUSH_ACCEPT);
		wire_put_u32(&buf, 1);
		wire_put_string(&buf, ref);
		wire_put_string(&buf, cases[i].old);
		wire_put_string(&buf, OID);
		wire_put_u32(&buf, 0);
		packet.size = buf.size;
		packet.data = (uint8_t *)strbuf_steal(&buf);
		if (request_decode(&packet, PHASE_RECEIVE, 0, &args, NULL) != -EBADMSG)
			fail_msg("%s", cases[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_every_wrong_phase),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "protocol/client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"
#include "protocol/stream.h"
#include "tests/unit/unit.h"

/*
 * The other end is this test: an answer is put into the socket before the call, which then finds it. The
 * first call of a client has the serial 1.
 */
struct peer {
	struct client *client;
	int fd;
};

static int setup(void **state)
{
	static struct peer peer;
	int fds[2];

	if (packet_pair(fds) < 0 || client_from_fd(fds[0], &peer.client) < 0)
		return -1;
	peer.fd = fds[1];
	*state = &peer;
	return 0;
}

static int teardown(void **state)
{
	struct peer *peer = *state;

	client_free(peer->client);
	fd_close(peer->fd);
	return 0;
}

static void put_head(struct strbuf *buf, uint32_t op, uint32_t serial, int32_t status)
{
	wire_put_u32(buf, op);
	wire_put_u32(buf, serial);
	wire_put_u32(buf, (uint32_t)status);
}

static void answer(struct peer *peer, const struct strbuf *buf, int fd)
{
	assert_int_equal(packet_send(peer->fd, buf->data, buf->size, &fd, fd >= 0), 0);
}

static void test_call(void **state)
{
	struct peer *peer = *state;
	_cleanup_strbuf_ struct strbuf reply = { 0 }, args = { 0 };
	_cleanup_answer_ struct client_answer got = { 0 };
	_cleanup_packet_ struct packet request = { 0 };
	_cleanup_free_ char *name = NULL, *argument = NULL;
	struct wire w;

	put_head(&reply, REQUEST_PROJECT_INFO, 1, 0);
	wire_put_string(&reply, "shop");
	answer(peer, &reply, STDERR_FILENO);
	wire_put_string(&args, "arg");
	assert_int_equal(client_call(peer->client, REQUEST_PROJECT_INFO, &args, NULL, 0,
				     &got, NULL),
			 0);
	name = wire_string(&got.body, 64);
	assert_int_equal(wire_end(&got.body), 0);
	assert_string_equal(name, "shop");
	assert_int_equal(got.packet.fd_count, 1);

	assert_int_equal(packet_receive(peer->fd, &request), 1);
	w = wire_reader(request.data, request.size);
	assert_int_equal(wire_u32(&w), REQUEST_PROJECT_INFO);
	assert_int_equal(wire_u32(&w), 1);
	argument = wire_string(&w, 64);
	assert_int_equal(wire_end(&w), 0);
	assert_string_equal(argument, "arg");
}

static void test_user_error(void **state)
{
	struct peer *peer = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	const char *code;

	for (uint32_t serial = 1; serial <= 2; serial++) {
		_cleanup_strbuf_ struct strbuf reply = { 0 };

		put_head(&reply, REQUEST_WHOAMI, serial, -ENOENT);
		wire_put_string(&reply, "PROJECT_NOT_FOUND");
		wire_put_string(&reply, "no 'shop' 100%s");
		wire_put_string(&reply, serial == 1 ? "type 'ls'" : "");
		answer(peer, &reply, -1);
		assert_int_equal(client_do(peer->client, REQUEST_WHOAMI, NULL, &err),
				 -ENOENT);
		assert_string_equal(error_code(&err), "PROJECT_NOT_FOUND");
		assert_string_equal(error_text(&err, false), "no 'shop' 100%s");
		if (serial == 1)
			assert_string_equal(err.suggestion, "type 'ls'");
		else
			assert_null(err.suggestion);
	}

	/* the code outlives the message it came in */
	code = err.code;
	error_done(&err);
	assert_string_equal(code, "PROJECT_NOT_FOUND");
}

static void test_bad_answers(void **state)
{
	static const struct {
		const char *what;
		uint32_t op, serial;
		int32_t status;
		size_t size;
		int expected;
	} cases[] = {
		{ "internal error", REQUEST_WHOAMI, 1, -EIO, 24, -EIO },
		{ "cut error", REQUEST_WHOAMI, 1, -EIO, 20, -EBADMSG },
		{ "left over", REQUEST_WHOAMI, 1, 0, 13, -EBADMSG },
		{ "another request", REQUEST_JOB_LIST, 1, 0, 12, -EBADMSG },
		{ "another serial", REQUEST_WHOAMI, 2, 0, 12, -EBADMSG },
		{ "positive status", REQUEST_WHOAMI, 1, 1, 12, -EBADMSG },
		{ "cut head", REQUEST_WHOAMI, 1, 0, 11, -EBADMSG },
		{ "good", REQUEST_WHOAMI, 1, 0, 12, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		_cleanup_strbuf_ struct strbuf reply = { 0 };
		struct peer *peer;
		void *p;
		int r;

		assert_int_equal(setup(&p), 0);
		peer = p;
		put_head(&reply, cases[i].op, cases[i].serial, cases[i].status);
		strbuf_append(&reply, "\0\0\0\0\0\0\0\0\0\0\0", 12);
		reply.size = cases[i].size;
		answer(peer, &reply, -1);
		r = client_do(peer->client, REQUEST_WHOAMI, NULL, &err);
		check_case(cases[i].what, r == cases[i].expected);
		check_case(cases[i].what, error_is_set(&err) == (r < 0));
		check_case(cases[i].what,
			   r == 0 || str_equal(error_code(&err), "INTERNAL_ERROR"));
		teardown(&p);
	}
}

static void test_closed(void **state)
{
	struct peer *peer = *state;
	_cleanup_error_ struct error err = ERROR_INIT;

	peer->fd = fd_close(peer->fd);
	assert_int_equal(client_do(peer->client, REQUEST_WHOAMI, NULL, &err), -EPIPE);
	assert_true(error_is_set(&err));
}

static void test_failed_arguments(void **state)
{
	struct peer *peer = *state;
	_cleanup_strbuf_ struct strbuf args = { .failed = true };

	assert_int_equal(client_do(peer->client, REQUEST_WHOAMI, &args, NULL), -ENOMEM);
}

static void test_list(void **state)
{
	struct peer *peer = *state;
	_cleanup_strbuf_ struct strbuf reply = { 0 }, second = { 0 }, records = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_close_ int fd = memfd_create("list", MFD_CLOEXEC);
	uint32_t count = 0;

	assert_int_equal(io_write_all(fd, "records", 7), 0);
	put_head(&reply, REQUEST_KEY_LIST, 1, 0);
	wire_put_u32(&reply, 3);
	answer(peer, &reply, fd);
	assert_int_equal(client_list(peer->client, REQUEST_KEY_LIST, NULL, &count,
				     &records, &err),
			 0);
	assert_int_equal(count, 3);
	assert_string_equal(strbuf_get(&records), "records");

	put_head(&second, REQUEST_KEY_LIST, 2, 0);
	wire_put_u32(&second, 3);
	answer(peer, &second, -1);
	assert_int_equal(client_list(peer->client, REQUEST_KEY_LIST, NULL, &count,
				     &records, &err),
			 -EBADMSG);
}

static void test_connect(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct client *client = NULL;
	char name[200];

	(void)state;
	assert_int_equal(client_connect("/nonexistent/socket", &client, &err), -ENOENT);
	assert_string_equal(error_code(&err), "DAEMON_UNREACHABLE");
	assert_non_null(err.suggestion);

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(client_connect(name, &client, &err), -ENAMETOOLONG);
	assert_null(client);
}

static void test_status(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[5];
		size_t size;
		int expected;
	} cases[] = {
		{ "zero", { 0 }, 4, 0 },
		{ "a signal", { 137 }, 4, 137 },
		{ "too large", { 0, 1 }, 4, -EBADMSG },
		{ "short", { 1 }, 3, -EBADMSG },
		{ "long", { 1 }, 5, -EBADMSG },
		{ "none", { 0 }, 0, -EPIPE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fds[2];

		assert_int_equal(packet_pair(fds), 0);
		if (cases[i].size > 0)
			assert_int_equal(packet_send(fds[0], cases[i].bytes,
						     cases[i].size, NULL, 0),
					 0);
		fd_close(fds[0]);
		check_case(cases[i].what,
			   client_wait_status(fds[1]) == cases[i].expected);
		fd_close(fds[1]);
	}
}

static void test_stream(void **state)
{
	struct peer *peer = *state;
	_cleanup_strbuf_ struct strbuf text = { 0 }, end = { 0 };
	struct stream_end got = { 0 };
	char *s = NULL;
	size_t size = 0;
	int fd = client_fd(peer->client);

	stream_put_text(&text, "line\n", 5);
	stream_put_end(&end, &(struct stream_end){ .exit_status = 5,
						   .code = (char *)"BUILD_FAILED",
						   .message = (char *)"m" });
	answer(peer, &text, -1);
	answer(peer, &end, -1);
	assert_int_equal(stream_receive(fd, &s, &size, &got), STREAM_E_TEXT);
	assert_string_equal(s, "line\n");
	assert_int_equal(size, 5);
	free(s);
	assert_int_equal(stream_receive(fd, &s, &size, &got), STREAM_E_END);
	assert_int_equal(got.exit_status, 5);
	assert_string_equal(got.code, "BUILD_FAILED");
	assert_string_equal(got.message, "m");
	assert_string_equal(got.suggestion, "");
	stream_end_done(&got);

	end.size--;
	answer(peer, &end, -1);
	assert_int_equal(stream_receive(fd, &s, &size, &got), -EBADMSG);
	assert_int_equal(packet_send(peer->fd, "\7", 1, NULL, 0), 0);
	assert_int_equal(stream_receive(fd, &s, &size, &got), -EBADMSG);
	peer->fd = fd_close(peer->fd);
	assert_int_equal(stream_receive(fd, &s, &size, &got), STREAM_E_CLOSED);
}

static void test_names(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < _REQUEST_N; i++)
		assert_non_null(request_name(i));
	assert_null(request_name(_REQUEST_N));
	assert_null(request_name(UINT32_MAX));
	for (uint32_t i = 0; i < _ROLE_N; i++)
		assert_non_null(role_name(i));
	assert_null(role_name(_ROLE_N));
	for (uint32_t i = 0; i < _RUNTIME_N; i++)
		assert_non_null(runtime_name(i));
	assert_null(runtime_name(_RUNTIME_N));
	for (uint32_t i = 0; i < _JOB_KIND_N; i++)
		assert_non_null(job_kind_name(i));
	assert_null(job_kind_name(_JOB_KIND_N));
	for (uint32_t i = 0; i < _JOB_STATE_N; i++)
		assert_non_null(job_state_name(i));
	assert_null(job_state_name(_JOB_STATE_N));
	for (uint32_t i = 0; i < _RELEASE_STATE_N; i++)
		assert_non_null(release_state_name(i));
	assert_null(release_state_name(_RELEASE_STATE_N));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_error, setup, teardown),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_status),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

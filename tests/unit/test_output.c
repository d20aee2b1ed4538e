/* What a job's viewers get: early, late, slow, dead ones; lines, prefixes, escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/packet.h"
#include "base/str.h"
#include "release/loop.h"
#include "release/output.h"

struct fixture {
	struct loop loop;
	struct output *output;
	int log_fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(loop_init(&f->loop), 0);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(output_new(f->loop.event, f->log_fd, &f->output), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	output_free(f->output);
	loop_done(&f->loop);
	fd_close(f->log_fd);
	free(f);
	return 0;
}

/* Returns the viewer's end. */
static int new_viewer(struct fixture *f)
{
	int fds[2];

	assert_int_equal(packet_pair(fds), 0);
	output_add_viewer(f->output, fds[0]);
	return fds[1];
}

static void turn(struct fixture *f)
{
	assert_int_equal(loop_wait(&f->loop, -EBADF, 5000), 0);
}

/* Read what there is; returns whether the end came. */
static bool read_viewer(struct fixture *f, int fd, struct strbuf *text)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 3;) {
		_cleanup_free_ char *piece = NULL;
		struct stream_end end = { 0 };
		size_t size = 0;
		int r = stream_receive(fd, &piece, &size, &end);

		if (r == STREAM_E_TEXT) {
			assert_int_equal(piece[size - 1], '\n'); /* whole lines */
			strbuf_append(text, piece, size);
			idle = 0;
		} else if (r == STREAM_E_END) {
			assert_int_equal(end.exit_status, 5);
			assert_string_equal(end.code, "BUILD_FAILED");
			stream_end_done(&end);
			return true;
		} else {
			idle++;
			turn(f);
		}
	}
	return false;
}

static const struct stream_end failed = { .exit_status = 5,
					  .code = (char *)"BUILD_FAILED",
					  .message = (char *)"no",
					  .suggestion = (char *)"" };

static char *log_text(struct fixture *f)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *path = str_format("/proc/self/fd/%d", f->log_fd);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_read_all(fd, 64 << 20, &buf), 0);
	return strbuf_steal(&buf);
}

static void test_lines(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int viewer = new_viewer(f);
	_cleanup_strbuf_ struct strbuf got = { 0 };
	_cleanup_free_ char *log = NULL;
	static const char expected[] =
		"-----> one\n       two\n       three\n"
		" !     \\x1b[2J\n=====> done\n"
		"-----> theirs\n       plain\\x07\n       =====> forged\n";

	output_step(f->output, "one");
	output_detail(f->output, "two\nthree\n");
	output_trouble(f->output, "\033[2J");
	output_result(f->output, "done");
	output_foreign(f->output, "-----> theirs", 13);
	output_foreign(f->output, "plain\a", 6);
	output_foreign(f->output, "=====> forged", 13);
	output_end(f->output, &failed);
	assert_true(read_viewer(f, viewer, &got));
	assert_string_equal(strbuf_get(&got), expected);
	log = log_text(f);
	assert_string_equal(log, expected);
	assert_true(output_is_drained(f->output));
}

static void test_late_viewers(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf in_between = { 0 }, after = { 0 };
	_cleanup_close_ int first = -EBADF, last = -EBADF;

	output_step(f->output, "one");
	first = new_viewer(f);
	output_step(f->output, "two");
	output_end(f->output, &failed);
	last = new_viewer(f); /* even now */
	assert_true(read_viewer(f, first, &in_between));
	assert_true(read_viewer(f, last, &after));
	assert_string_equal(strbuf_get(&in_between), "-----> one\n-----> two\n");
	assert_string_equal(strbuf_get(&after), "-----> one\n-----> two\n");
}

static void test_long_lines_become_several(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int viewer = new_viewer(f);
	_cleanup_strbuf_ struct strbuf got = { 0 };
	char line[4096];

	memset(line, '\x01', sizeof(line)); /* four characters each when escaped */
	output_foreign(f->output, line, sizeof(line));
	output_end(f->output, &failed);
	assert_true(read_viewer(f, viewer, &got));
	assert_in_range(got.size, 4 * sizeof(line), 4 * sizeof(line) + 100);
}

/* One that never reads costs neither time nor memory, and learns how much it missed when it does. */
static void test_viewer_that_does_not_read(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int asleep = new_viewer(f), awake = new_viewer(f);
	_cleanup_strbuf_ struct strbuf little = { 0 }, all = { 0 };

	for (int i = 0; i < 60000; i++) {
		output_detail(f->output, "line %06d of a build that says a lot", i);
		if (i % 1000 == 0)
			assert_false(read_viewer(f, awake, &all));
	}
	output_end(f->output, &failed);
	assert_false(output_is_drained(f->output));
	assert_true(read_viewer(f, awake, &all));
	assert_true(read_viewer(f, asleep, &little));
	assert_int_equal(
		all.size,
		60000 * strlen("       line 000000 of a build that says a lot\n"));
	assert_in_range(little.size, OUTPUT_LAG_KEPT,
			OUTPUT_LAG_MAX + OUTPUT_LAG_KEPT + 500000);
	assert_non_null(strstr(strbuf_get(&little), "line 000000"));
	assert_non_null(strstr(strbuf_get(&little), "\n !     "));
	assert_non_null(strstr(strbuf_get(&little), " bytes left out"));
	assert_non_null(strstr(strbuf_get(&little), "line 059999"));
	assert_true(output_is_drained(f->output));
}

/* The backlog of a late viewer is not held against it, however long it is. */
static void test_late_viewer_gets_all(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int viewer = -EBADF;
	_cleanup_strbuf_ struct strbuf got = { 0 };

	for (int i = 0; i < 60000; i++)
		output_detail(f->output, "line %06d of a build that says a lot", i);
	viewer = new_viewer(f);
	output_end(f->output, &failed);
	assert_true(read_viewer(f, viewer, &got));
	assert_int_equal(
		got.size,
		60000 * strlen("       line 000000 of a build that says a lot\n"));
}

static void test_viewer_that_goes_away(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int stays = -EBADF;
	_cleanup_strbuf_ struct strbuf got = { 0 };
	int goes = new_viewer(f);

	stays = new_viewer(f);
	output_step(f->output, "one");
	fd_close(goes);
	output_step(f->output, "two");
	output_end(f->output, &failed);
	assert_true(read_viewer(f, stays, &got));
	assert_string_equal(strbuf_get(&got), "-----> one\n-----> two\n");
}

static void test_viewers_by_packet(void **state)
{
	struct fixture *f = *state;
	_cleanup_strbuf_ struct strbuf got = { 0 };
	_cleanup_close_ int daemon = -EBADF, viewer = -EBADF;
	int fds[2], pair[2];

	assert_int_equal(packet_pair(fds), 0);
	daemon = fds[1];
	assert_int_equal(output_listen(f->output, fds[0]), 0);
	output_step(f->output, "one");
	assert_int_equal(packet_pair(pair), 0);
	viewer = pair[1];
	assert_int_equal(packet_send(daemon, "", 1, &pair[0], 1), 0);
	fd_close(pair[0]);
	turn(f);
	daemon = fd_close(daemon); /* hostkitd goes away, the viewer stays */
	turn(f);
	output_step(f->output, "two");
	output_end(f->output, &failed);
	assert_true(read_viewer(f, viewer, &got));
	assert_string_equal(strbuf_get(&got), "-----> one\n-----> two\n");
}

static void test_too_many_viewers(void **state)
{
	struct fixture *f = *state;
	int fds[OUTPUT_VIEWERS_MAX + 1];
	struct stream_end end;
	char *text;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = new_viewer(f);
	assert_int_equal(stream_receive(fds[OUTPUT_VIEWERS_MAX], &text, &size, &end),
			 STREAM_E_CLOSED);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
}

/* The log's disk is full: who watches sees everything all the same, also what was before. */
static void test_log_that_fails(_unused_ void **state)
{
	_cleanup_loop_ struct loop loop = { 0 };
	_cleanup_(output_freep) struct output *output = NULL;
	_cleanup_close_ int log_fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_close_ int viewer = -EBADF;
	_cleanup_strbuf_ struct strbuf got = { 0 };
	struct fixture f;
	int fds[2];

	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(output_new(loop.event, log_fd, &output), 0);
	output_step(output, "one");
	assert_int_equal(fcntl(log_fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	output_step(output, "two");
	assert_int_equal(packet_pair(fds), 0);
	viewer = fds[1];
	output_add_viewer(output, fds[0]);
	output_step(output, "three");
	output_end(output, &failed);
	f = (struct fixture){ .loop = loop };
	assert_true(read_viewer(&f, viewer, &got));
	assert_string_equal(strbuf_get(&got), "-----> one\n-----> two\n-----> three\n");
}

int main(void)
{
#define OUTPUT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		OUTPUT_TEST(test_lines),
		OUTPUT_TEST(test_late_viewers),
		OUTPUT_TEST(test_long_lines_become_several),
		OUTPUT_TEST(test_viewer_that_does_not_read),
		OUTPUT_TEST(test_late_viewer_gets_all),
		OUTPUT_TEST(test_viewer_that_goes_away),
		OUTPUT_TEST(test_viewers_by_packet),
		OUTPUT_TEST(test_too_many_viewers),
		cmocka_unit_test(test_log_that_fails),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as in the program */
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/packet.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/wire.h"
#include "tests/unit/unit.h"

struct pair {
	int fds[2];
};

static int setup(void **state)
{
	static struct pair pair;

	*state = &pair;
	return packet_pair(pair.fds);
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	fd_close(pair->fds[0]);
	fd_close(pair->fds[1]);
	return 0;
}

static size_t open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

static void test_boundaries_and_fds(void **state)
{
	struct pair *pair = *state;
	_cleanup_packet_ struct packet first = { 0 }, second = { 0 };
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[] = { null_fd, STDERR_FILENO };
	struct stat a, b;

	assert_int_equal(packet_send(pair->fds[0], "one", 3, fds, 2), 0);
	assert_int_equal(packet_send(pair->fds[0], "two!", 4, NULL, 0), 0);
	assert_int_equal(packet_receive(pair->fds[1], &first), 1);
	assert_int_equal(packet_receive(pair->fds[1], &second), 1);
	assert_int_equal(first.size, 3);
	assert_memory_equal(first.data, "one", 3);
	assert_int_equal(first.fd_count, 2);
	assert_int_equal(second.size, 4);
	assert_int_equal(second.fd_count, 0);

	assert_int_equal(fstat(null_fd, &a), 0);
	assert_int_equal(fstat(first.fds[0], &b), 0);
	assert_true(a.st_ino == b.st_ino && a.st_rdev == b.st_rdev);
	assert_int_equal(fcntl(first.fds[0], F_GETFD), FD_CLOEXEC);
	fd_close(null_fd);
}

static void test_refused_to_send(void **state)
{
	struct pair *pair = *state;
	_cleanup_free_ char *big = calloc(1, WIRE_MESSAGE_MAX + 1);
	int fds[PACKET_FDS_MAX + 1] = { 0 };

	assert_int_equal(packet_send(pair->fds[0], "", 0, NULL, 0), -EMSGSIZE);
	assert_int_equal(packet_send(pair->fds[0], big, WIRE_MESSAGE_MAX + 1, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(packet_send(pair->fds[0], "x", 1, fds, PACKET_FDS_MAX + 1),
			 -EMSGSIZE);
	assert_int_equal(packet_send(pair->fds[0], big, WIRE_MESSAGE_MAX, NULL, 0), 0);
}

static void test_closed_peer(void **state)
{
	struct pair *pair = *state;
	struct packet packet = { 0 };

	pair->fds[1] = fd_close(pair->fds[1]);
	assert_int_equal(packet_receive(pair->fds[0], &packet), 0);
	assert_int_equal(packet_send(pair->fds[0], "x", 1, NULL, 0), -EPIPE);
}

/* A peer that closed without reading what we sent: a reset, which is only another way to close. */
static void test_reset_peer(void **state)
{
	struct pair *pair = *state;
	struct packet packet = { 0 };

	assert_int_equal(packet_send(pair->fds[0], "x", 1, NULL, 0), 0);
	pair->fds[1] = fd_close(pair->fds[1]);
	assert_int_equal(packet_receive(pair->fds[0], &packet), 0);
}

static void test_too_large(void **state)
{
	struct pair *pair = *state;
	_cleanup_free_ char *big = calloc(1, WIRE_MESSAGE_MAX + 1);
	struct packet packet = { 0 };

	assert_int_equal(send(pair->fds[0], big, WIRE_MESSAGE_MAX + 1, 0),
			 WIRE_MESSAGE_MAX + 1);
	assert_int_equal(packet_receive(pair->fds[1], &packet), -EBADMSG);
}

static void send_fds(int socket_fd, size_t count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 16)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)"x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE(sizeof(int) * count),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &(int){ STDERR_FILENO },
		       sizeof(int));
	assert_int_equal(sendmsg(socket_fd, &msg, 0), 1);
}

static void test_too_many_fds(void **state)
{
	struct pair *pair = *state;
	size_t before = open_descriptors();

	for (size_t count = PACKET_FDS_MAX + 1; count <= 16; count++) {
		struct packet packet = { 0 };

		send_fds(pair->fds[0], count);
		assert_int_equal(packet_receive(pair->fds[1], &packet), -EBADMSG);
		assert_int_equal(open_descriptors(), before); /* none is kept */
	}
}

static void test_non_blocking(void **state)
{
	struct pair *pair = *state;
	struct packet packet = { 0 };
	int r = 0;

	assert_int_equal(fcntl(pair->fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(packet_receive(pair->fds[0], &packet), -EAGAIN);
	for (int i = 0; r == 0 && i < 100000; i++)
		r = packet_send(pair->fds[0], "x", 1, NULL, 0);
	assert_int_equal(r, -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_boundaries_and_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_to_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_non_blocking, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

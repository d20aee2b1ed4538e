/* Who listens on a port: in tables as the kernel writes them, and for a real socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "release/listener.h"

#define HEAD \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
#define LINE(address, state, uid)                       \
	"   0: " address " 00000000:0000 " state        \
	" 00000000:00000000 00:00000000 00000000  " uid \
	"        0 404341 1 0000000000000000 100 0 0 10 0\n"

static void test_tables(_unused_ void **state)
{
	static const struct {
		const char *what, *table;
		int found;
		uid_t uid;
	} cases[] = {
		{ "nothing", "", 0, 0 },
		{ "heading only", HEAD, 0, 0 },
		{ "loopback", HEAD LINE("0100007F:1F41", "0A", "998"), 1, 998 },
		{ "any address", HEAD LINE("00000000:1F41", "0A", "998"), 1, 998 },
		{ "connected, not listening", HEAD LINE("0100007F:1F41", "01", "998"), 0,
		  0 },
		{ "another port", HEAD LINE("0100007F:1F42", "0A", "998"), 0, 0 },
		{ "another address", HEAD LINE("0200000A:1F41", "0A", "998"), 0, 0 },
		{ "IPv6, any",
		  HEAD LINE("00000000000000000000000000000000:1F41", "0A", "7"), 1, 7 },
		{ "IPv6 loopback does not answer 127.0.0.1",
		  HEAD LINE("00000000000000000000000001000000:1F41", "0A", "7"), 0, 0 },
		{ "the exact address wins",
		  HEAD LINE("00000000:1F41", "0A", "1") LINE("0100007F:1F41", "0A", "2")
			  LINE("00000000:1F41", "0A", "3"),
		  1, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uid_t uid = 0;
		int rank = 0;

		listener_scan(cases[i].table, 8001, &rank, &uid);
		if ((rank > 0) != cases[i].found || uid != cases[i].uid)
			fail_msg("%s: rank %d, uid %u", cases[i].what, rank, uid);
	}
}

static void test_real_socket(_unused_ void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uid_t uid = 12345;

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listener_find(ntohs(address.sin_port), &uid), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(listener_find(ntohs(address.sin_port), &uid), 1);
	assert_int_equal(uid, getuid());
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_real_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

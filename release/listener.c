#include "release/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"

#define TABLE_MAX (64u * 1024 * 1024)
#define STATE_LISTEN 0x0a

/* An exact address wins over any address, and that of IPv4 over that of IPv6. */
static int rank_of(const char *address)
{
	static const struct {
		const char *address;
		int rank;
	} ranks[] = {
		{ "0100007F", 4 },                         /* 127.0.0.1 */
		{ "0000000000000000FFFF00000100007F", 4 }, /* ::ffff:127.0.0.1 */
		{ "00000000", 3 },                         /* 0.0.0.0 */
		{ "0000000000000000FFFF000000000000", 3 },
		{ "00000000000000000000000000000000", 2 }, /* :: */
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranks); i++)
		if (str_equal(address, ranks[i].address))
			return ranks[i].rank;
	return 0;
}

static void scan_line(const char *line, uint16_t port, int *rank, uid_t *uid)
{
	unsigned int local_port, state, owner;
	char address[33];
	int found;

	if (sscanf(line, "%*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %u",
		   address, &local_port, &state, &owner) != 4)
		return; /* the heading */
	if (state != STATE_LISTEN || local_port != port)
		return;
	found = rank_of(address);
	if (found > *rank) {
		*rank = found;
		*uid = owner;
	}
}

void listener_scan(const char *table, uint16_t port, int *rank, uid_t *uid)
{
	for (const char *line = table; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		scan_line(line, port, rank, uid);
	}
}

static int scan_file(const char *path, uint16_t port, int *rank, uid_t *uid)
{
	_cleanup_strbuf_ struct strbuf table = { 0 };
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* a kernel without IPv6 */
	r = io_read_all(fd, TABLE_MAX, &table);
	if (r >= 0)
		listener_scan(strbuf_get(&table), port, rank, uid);
	return r;
}

int listener_find(uint16_t port, uid_t *ret_uid)
{
	int rank = 0;
	int r = scan_file("/proc/self/net/tcp", port, &rank, ret_uid);

	if (r >= 0)
		r = scan_file("/proc/self/net/tcp6", port, &rank, ret_uid);
	return r < 0 ? r : rank > 0;
}

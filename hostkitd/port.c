#include "hostkitd/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "hostkitd/state.h"

/* 1 free, 0 taken: ask the kernel, by taking it for a moment. */
static int port_is_free(uint32_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* connections of an app that has ended must not count, only listeners do */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) >= 0)
		return 1;
	return errno == EADDRINUSE || errno == EACCES ? 0 : -errno;
}

int port_choose(struct state *state, const struct settings *settings, uint32_t *ret_port,
		struct error *err)
{
	for (uint32_t port = settings->ports_first; port <= settings->ports_last;
	     port++) {
		int r = state_port_taken(state, port, err);

		if (r < 0)
			return r;
		if (r > 0)
			continue;
		r = port_is_free(port);
		if (r < 0)
			return error_internal(err, r, "try port %u", port);
		if (r > 0) {
			*ret_port = port;
			return 0;
		}
	}
	error_user(err, -ENOSPC, "PORTS_EXHAUSTED", "all ports from %u to %u are taken",
		   settings->ports_first, settings->ports_last);
	error_suggest(err, "delete a project, or set [ports] last in " SETTINGS_PATH);
	return -ENOSPC;
}

#include "protocol/exit_report.h"

#include <stdint.h>

#include "base/packet.h"
#include "base/wire.h"

/* No program is started with more descriptors than that. */
#define STATUS_FD_MAX 15

int exit_report(int status)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };
	const char *fd_text = getenv(EXIT_REPORT_VARIABLE);
	uint64_t fd;

	if (!fd_text || str_to_u64(fd_text, STATUS_FD_MAX, &fd) < 0)
		return status;
	wire_put_u32(&message, (uint32_t)status);
	/* who asked may be gone, and hostkitd tells the status too */
	if (!strbuf_failed(&message) &&
	    packet_send((int)fd, message.data, message.size, NULL, 0) < 0)
		return status;
	return status;
}

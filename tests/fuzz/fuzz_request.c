#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "hostkitd/decode.h"
#include "protocol/name.h"

/* What hostkitd reads from its peers. The first byte: the phase and how many descriptors came along. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(request_args_done) struct request_args args = { .fd = -EBADF };
	_cleanup_packet_ struct packet packet = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	enum phase phase;
	int r;

	if (size < 1)
		return 0;
	phase = (enum phase)(data[0] % _PHASE_N);
	packet.data = malloc(size);
	assert(packet.data);
	packet.size = size - 1;
	memcpy(packet.data, data + 1, packet.size);
	for (size_t i = 0; i < data[0] / _PHASE_N % (PACKET_FDS_MAX + 1); i++)
		packet.fds[packet.fd_count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);

	r = request_decode(&packet, phase, 0, &args, &err);
	if (r < 0) {
		assert(error_is_set(&err) && !err.code && args.fd < 0);
		return 0;
	}
	/* what passes is of its phase and within its limits */
	assert(args.op < _REQUEST_N && request_phase(args.op) == phase);
	assert(!args.commit || name_is_oid(args.commit));
	assert(!args.project || strlen(args.project) <= REQUEST_NAME_MAX);
	assert(!args.message || strlen(args.message) <= REQUEST_TEXT_MAX);
	assert(args.key_size <= REQUEST_KEY_BLOB_MAX);
	return 0;
}

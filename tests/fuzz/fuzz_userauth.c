#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "sshd/userauth.h"

static void within(const struct userauth_bytes *bytes, const uint8_t *data, size_t size)
{
	assert(bytes->size <= size);
	assert(bytes->size == 0 ||
	       (bytes->data >= data && bytes->data + bytes->size <= data + size));
}

/* Views stay inside the packet, and only a public key of a kind that we list passes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct userauth request;

	if (userauth_parse(data, size, &request) < 0)
		return 0;
	within(&request.user, data, size);
	within(&request.method, data, size);
	within(&request.algorithm, data, size);
	within(&request.key, data, size);
	within(&request.signature, data, size);
	if (userauth_is(&request.method, "publickey") && !userauth_objection(&request))
		assert(request.algorithm.size >= strlen("ssh-ed25519") &&
		       !memmem(request.algorithm.data, request.algorithm.size, "cert",
			       4));
	return 0;
}

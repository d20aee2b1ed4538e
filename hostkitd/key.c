#include "hostkitd/key.h"

#include <string.h>

#include "base/digest.h"
#include "protocol/request.h"

int key_type(const uint8_t *blob, size_t size, char **ret_type, struct error *err)
{
	size_t length = 0;
	bool good = size > 4 && blob[0] == 0 && blob[1] == 0;

	if (good)
		length = (size_t)blob[2] << 8 | blob[3];
	good = good && length > 0 && length <= REQUEST_NAME_MAX && length < size - 4;
	for (size_t i = 0; good && i < length; i++)
		good = blob[4 + i] > ' ' && blob[4 + i] < 0x7f;
	if (!good) {
		error_user(err, -EINVAL, "INVALID_PUBLIC_KEY",
			   "this is not a public key");
		error_suggest(err, "give the file that ends in .pub, on standard input");
		return -EINVAL;
	}
	*ret_type = strndup((const char *)blob + 4, length);
	return *ret_type ? 0 : error_internal(err, -ENOMEM, "key");
}

char *key_fingerprint(const uint8_t *blob, size_t size)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	uint8_t digest[DIGEST_SHA256_SIZE];

	digest_sha256(blob, size, digest);
	strbuf_str(&text, "SHA256:");
	digest_base64(&text, digest, sizeof(digest), false);
	return strbuf_steal(&text);
}

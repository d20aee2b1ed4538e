/* Authentication requests, taken apart. Runs in the sandboxed connection process on foreign bytes. */

#include "sshd/userauth.h"

#include <string.h>

#include "base/str.h"

/* Bit 0 of the flags of a FIDO signature: a person was there (OpenSSH PROTOCOL.u2f). */
#define FIDO_USER_PRESENT 0x01

struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static uint8_t read_u8(struct reader *r)
{
	if (r->failed || r->left < 1) {
		r->failed = true;
		return 0;
	}
	r->left--;
	return *r->at++;
}

static struct userauth_bytes read_string(struct reader *r)
{
	struct userauth_bytes bytes = { 0 };
	uint32_t size = 0;

	for (int i = 0; i < 4; i++)
		size = (size << 8) | read_u8(r);
	if (r->failed || size > r->left) {
		r->failed = true;
		return bytes;
	}
	bytes = (struct userauth_bytes){ .data = r->at, .size = size };
	r->at += size;
	r->left -= size;
	return bytes;
}

static struct reader reader_of(const struct userauth_bytes *bytes)
{
	return (struct reader){ .at = bytes->data, .left = bytes->size };
}

bool userauth_is(const struct userauth_bytes *bytes, const char *text)
{
	return bytes->size == strlen(text) && memcmp(bytes->data, text, bytes->size) == 0;
}

int userauth_parse(const void *data, size_t size, struct userauth *ret_request)
{
	struct reader r = { .at = data, .left = size };
	struct userauth request = { 0 };
	struct userauth_bytes service;

	request.user = read_string(&r);
	service = read_string(&r);
	request.method = read_string(&r);
	if (r.failed || !userauth_is(&service, "ssh-connection"))
		return -EBADMSG;

	if (userauth_is(&request.method, "publickey")) {
		request.has_signature = read_u8(&r) != 0;
		request.algorithm = read_string(&r);
		request.key = read_string(&r);
		if (request.has_signature)
			request.signature = read_string(&r);
		if (r.failed || r.left > 0)
			return -EBADMSG;
	}
	*ret_request = request;
	return 0;
}

static bool algorithm_known(const struct userauth_bytes *name)
{
	const char *list = USERAUTH_ALGORITHMS;

	while (*list) {
		size_t size = strcspn(list, ",");

		if (size == name->size && memcmp(list, name->data, size) == 0)
			return true;
		list += size;
		if (*list == ',')
			list++;
	}
	return false;
}

/* Bits of an RSA key's modulus: {string "ssh-rsa", mpint e, mpint n}. */
static size_t rsa_bits(const struct userauth_bytes *key)
{
	struct reader r = reader_of(key);
	struct userauth_bytes n;
	size_t bits;

	(void)read_string(&r);
	(void)read_string(&r);
	n = read_string(&r);
	if (r.failed)
		return 0;
	while (n.size > 0 && n.data[0] == 0) {
		n.data++;
		n.size--;
	}
	if (n.size == 0)
		return 0;
	bits = n.size * 8;
	for (uint8_t top = n.data[0]; !(top & 0x80); top = (uint8_t)(top << 1))
		bits--;
	return bits;
}

/* {string type, string signature, byte flags, uint32 counter} */
static bool fido_touched(const struct userauth_bytes *signature)
{
	struct reader r = reader_of(signature);
	uint8_t flags;

	(void)read_string(&r);
	(void)read_string(&r);
	flags = read_u8(&r);
	return !r.failed && (flags & FIDO_USER_PRESENT);
}

const char *userauth_objection(const struct userauth *request)
{
	struct reader key = reader_of(&request->key);
	struct userauth_bytes type = read_string(&key);
	bool rsa = userauth_is(&type, "ssh-rsa");

	if (!algorithm_known(&request->algorithm))
		return "algorithm not accepted";
	if (key.failed)
		return "malformed key";
	if (rsa != (userauth_is(&request->algorithm, "rsa-sha2-512") ||
		    userauth_is(&request->algorithm, "rsa-sha2-256")))
		return "algorithm does not fit the key";
	if (!rsa && (type.size != request->algorithm.size ||
		     memcmp(type.data, request->algorithm.data, type.size) != 0))
		return "algorithm does not fit the key";
	if (rsa && rsa_bits(&request->key) < USERAUTH_RSA_BITS_MIN)
		return "RSA key too short";
	if (request->has_signature && type.size > 3 && memcmp(type.data, "sk-", 3) == 0 &&
	    !fido_touched(&request->signature))
		return "FIDO signature without a touch";
	return NULL;
}

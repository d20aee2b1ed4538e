#include "sshd/userauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void put_u32(struct strbuf *buf, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_char(buf, (char)(value >> shift));
}

static void put_bytes(struct strbuf *buf, const void *data, size_t size)
{
	put_u32(buf, (uint32_t)size);
	strbuf_append(buf, data, size);
}

static void put_text(struct strbuf *buf, const char *text)
{
	put_bytes(buf, text, strlen(text));
}

static void put_head(struct strbuf *buf, const char *service, const char *method)
{
	put_text(buf, "git");
	put_text(buf, service);
	put_text(buf, method);
}

static void test_parse(void **state)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };
	struct userauth request;

	(void)state;
	put_head(&packet, "ssh-connection", "none");
	assert_int_equal(userauth_parse(packet.data, packet.size, &request), 0);
	assert_true(userauth_is(&request.user, "git"));
	assert_true(userauth_is(&request.method, "none"));
	assert_false(userauth_is(&request.method, "non"));
	assert_false(userauth_is(&request.method, "nonex"));

	strbuf_clear(&packet);
	put_head(&packet, "ssh-connection", "publickey");
	strbuf_char(&packet, 1);
	put_text(&packet, "ssh-ed25519");
	put_text(&packet, "key");
	put_text(&packet, "signature");
	assert_int_equal(userauth_parse(packet.data, packet.size, &request), 0);
	assert_true(request.has_signature);
	assert_true(userauth_is(&request.algorithm, "ssh-ed25519"));
	assert_true(userauth_is(&request.key, "key"));
	assert_true(userauth_is(&request.signature, "signature"));

	/* every shorter packet is malformed, and so is a longer one */
	for (size_t n = 0; n < packet.size; n++) {
		_cleanup_free_ uint8_t *cut = malloc(n + 1);

		assert_non_null(cut);
		memcpy(cut, packet.data, n);
		assert_int_equal(userauth_parse(cut, n, &request), -EBADMSG);
	}
	strbuf_char(&packet, 0);
	assert_int_equal(userauth_parse(packet.data, packet.size, &request), -EBADMSG);

	strbuf_clear(&packet);
	put_head(&packet, "ssh-userauth", "none");
	assert_int_equal(userauth_parse(packet.data, packet.size, &request), -EBADMSG);
	assert_int_equal(userauth_parse("\xff\xff\xff\xffgit", 7, &request), -EBADMSG);
}

static struct userauth_bytes bytes_of(const struct strbuf *buf)
{
	return (struct userauth_bytes){ .data = (const uint8_t *)strbuf_get(buf),
					.size = buf->size };
}

static struct userauth_bytes text_bytes(const char *text)
{
	return (struct userauth_bytes){ .data = (const uint8_t *)text,
					.size = strlen(text) };
}

static const char *objection(const char *algorithm, const char *type,
			     const struct strbuf *rest, const struct strbuf *signature)
{
	_cleanup_strbuf_ struct strbuf key = { 0 };
	struct userauth request = {
		.algorithm = text_bytes(algorithm),
		.has_signature = signature != NULL,
	};

	put_text(&key, type);
	if (rest)
		strbuf_append(&key, strbuf_get(rest), rest->size);
	request.key = bytes_of(&key);
	if (signature)
		request.signature = bytes_of(signature);
	return userauth_objection(&request);
}

static void test_algorithms(void **state)
{
	static const struct {
		const char *algorithm;
		const char *type;
		bool fine;
	} cases[] = {
		{ "ssh-ed25519", "ssh-ed25519", true },
		{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", true },
		{ "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", true },
		{ "ssh-ed448", "ssh-ed448", false },
		{ "ssh-dss", "ssh-dss", false },
		{ "ssh-rsa", "ssh-rsa", false },
		{ "", "", false },
		{ "ssh-ed25519,ecdsa-sha2-nistp256", "ssh-ed25519", false },
		{ "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com",
		  false },
		{ "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", false },
		{ "ssh-ed25519", "ecdsa-sha2-nistp256", false },
		{ "ssh-ed25519", "ssh-rsa", false },
		{ "rsa-sha2-256", "ssh-ed25519", false },
		{ "rsa-sha2-256", "rsa-sha2-256", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why =
			objection(cases[i].algorithm, cases[i].type, NULL, NULL);

		print_message("%s %s\n", cases[i].algorithm, cases[i].type);
		assert_int_equal(why == NULL, cases[i].fine);
	}
}

static void test_rsa(void **state)
{
	static const struct {
		size_t bytes;
		uint8_t first;
		bool sign; /* a zero byte in front, as an mpint needs */
		bool fine;
	} cases[] = {
		{ 256, 0x80, true, true },   { 256, 0x80, false, true },
		{ 256, 0x7f, false, false }, { 255, 0xff, true, false },
		{ 384, 0x80, true, true },   { 128, 0xff, true, false },
		{ 0, 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf rest = { 0 };
		uint8_t modulus[400] = { 0 };
		size_t sign = cases[i].sign;

		modulus[sign] = cases[i].first;
		put_bytes(&rest, "\1\0\1", 3);
		put_bytes(&rest, modulus, cases[i].bytes + sign);
		print_message("%zu bytes, first %x\n", cases[i].bytes, cases[i].first);
		assert_int_equal(objection("rsa-sha2-512", "ssh-rsa", &rest, NULL) ==
					 NULL,
				 cases[i].fine);
	}
	assert_non_null(objection("rsa-sha2-512", "ssh-rsa", NULL, NULL));
}

static void test_fido(void **state)
{
	static const char sk[] = "sk-ssh-ed25519@openssh.com";

	(void)state;
	for (int flags = 0; flags < 256; flags++) {
		_cleanup_strbuf_ struct strbuf signature = { 0 };
		const char *why;

		put_text(&signature, sk);
		put_text(&signature, "sixty-four bytes");
		strbuf_char(&signature, (char)flags);
		put_u32(&signature, 7);
		why = objection(sk, sk, NULL, &signature);
		assert_int_equal(why == NULL, flags & 1);
	}
	_cleanup_strbuf_ struct strbuf cut = { 0 };

	put_text(&cut, sk);
	assert_non_null(objection(sk, sk, NULL, &cut));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_fido),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

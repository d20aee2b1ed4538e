#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "command/key_line.h"

#define ED25519                                                        \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcFPEc0H89PbVA9AflGlkUf" \
	"anxuSiOZSLyqw+iRJlhG"
#define ECDSA                                                              \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAy" \
	"NTYAAABBBCEeAILKKv2jHRz9gf3A41whXDWXDSJCIEQgSxDTFBQ9QKA4Mie5P/ma" \
	"ww1/krPpC/r11wJoQUGFpqhiyYo411U="

static void put_string(struct strbuf *buf, const void *data, size_t size)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_char(buf, (char)(size >> shift));
	strbuf_append(buf, data, size);
}

/* "TYPE BASE64" of a blob. */
static char *line_of(const char *type, const struct strbuf *blob)
{
	_cleanup_strbuf_ struct strbuf line = { 0 };

	strbuf_format(&line, "%s ", type);
	digest_base64(&line, strbuf_get(blob), blob->size, true);
	return strbuf_steal(&line);
}

/* An RSA key whose modulus is of so many bits, all ones; `e` is its whole exponent field. */
static char *rsa_line(size_t bits, const void *e, size_t e_size)
{
	_cleanup_strbuf_ struct strbuf blob = { 0 }, n = { 0 };

	if (bits % 8 == 0)
		strbuf_char(&n, 0);
	else
		strbuf_char(&n, (char)((1 << bits % 8) - 1));
	for (size_t i = 0; i < bits / 8; i++)
		strbuf_char(&n, (char)0xff);
	put_string(&blob, "ssh-rsa", 7);
	put_string(&blob, e, e_size);
	put_string(&blob, n.data, n.size);
	return line_of("ssh-rsa", &blob);
}

static void accepts(const char *what, const char *text, const char *type,
		    const char *comment)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;

	if (key_line_parse(text, strlen(text), &key, &err) < 0)
		fail_msg("%s: %s", what, error_text(&err, true));
	if (strcmp(key.type, type) != 0 || strcmp(key.comment, comment) != 0)
		fail_msg("%s: type '%s', comment '%s'", what, key.type, key.comment);
	assert_memory_equal(key.blob + 4, type, strlen(type));
}

static void refuses(const char *what, const char *text, size_t size, const char *reason)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;

	if (key_line_parse(text, size, &key, &err) >= 0)
		fail_msg("%s was accepted", what);
	if (strcmp(error_code(&err), "INVALID_PUBLIC_KEY") != 0 ||
	    !strstr(error_text(&err, true), reason))
		fail_msg("%s: %s: %s", what, error_code(&err), error_text(&err, true));
	if (!err.suggestion)
		fail_msg("%s: no suggestion", what);
}

static void test_good(void **state _unused_)
{
	accepts("plain", ED25519 "\n", "ssh-ed25519", "");
	accepts("without newline", ED25519, "ssh-ed25519", "");
	accepts("with a comment", ED25519 " anna@laptop\n", "ssh-ed25519", "anna@laptop");
	accepts("comment of words", ED25519 "\tanna, her laptop \n", "ssh-ed25519",
		"anna, her laptop");
	accepts("CRLF", ED25519 " a\r\n", "ssh-ed25519", "a");
	accepts("blank and comment lines", "\n# mine\n  " ED25519 " a\n\n", "ssh-ed25519",
		"a");
	accepts("hostile comment", ED25519 " \033]0;x\a\xff\n", "ssh-ed25519",
		"\\x1b]0;x\\x07\\xff");
	accepts("ECDSA", ECDSA " e\n", "ecdsa-sha2-nistp256", "e");
}

static void test_long_comment_is_cut(void **state _unused_)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	_cleanup_strbuf_ struct strbuf text = { 0 };

	strbuf_str(&text, ED25519 " ");
	for (int i = 0; i < 1000; i++)
		strbuf_str(&text, "\033");
	assert_int_equal(key_line_parse(text.data, text.size, &key, NULL), 0);
	assert_int_equal(strlen(key.comment), 256 * 4 + 3);
}

static void test_rsa(void **state _unused_)
{
	static const char e65537[] = { 1, 0, 1 };
	_cleanup_free_ char *least = rsa_line(2048, e65537, 3);
	_cleanup_free_ char *most = rsa_line(16384, e65537, 3);
	_cleanup_free_ char *weak = rsa_line(2047, e65537, 3);
	_cleanup_free_ char *small = rsa_line(1024, e65537, 3);
	_cleanup_free_ char *huge = rsa_line(16392, e65537, 3);
	_cleanup_free_ char *e_one = rsa_line(2048, "\1", 1);
	_cleanup_free_ char *e_even = rsa_line(2048, "\2", 1);
	_cleanup_free_ char *e_zero = rsa_line(2048, "\0", 1);
	_cleanup_free_ char *e_empty = rsa_line(2048, "", 0);
	_cleanup_free_ char *e_negative = rsa_line(2048, "\x81", 1);
	_cleanup_free_ char *e_padded = rsa_line(2048, "\0\3", 2);

	accepts("2048 bits", least, "ssh-rsa", "");
	accepts("16384 bits", most, "ssh-rsa", "");
	refuses("2047 bits", weak, strlen(weak), "2047 bits");
	refuses("1024 bits", small, strlen(small), "1024 bits");
	refuses("more than 16384 bits", huge, strlen(huge), "more than 16384");
	refuses("e = 1", e_one, strlen(e_one), "damaged");
	refuses("even e", e_even, strlen(e_even), "damaged");
	refuses("e = 0", e_zero, strlen(e_zero), "damaged");
	refuses("no e", e_empty, strlen(e_empty), "damaged");
	refuses("negative e", e_negative, strlen(e_negative), "damaged");
	refuses("e with a zero too many", e_padded, strlen(e_padded), "damaged");
}

static void test_even_modulus(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf blob = { 0 };
	_cleanup_free_ char *line = NULL;
	char n[257] = { 0, (char)0x80 };

	put_string(&blob, "ssh-rsa", 7);
	put_string(&blob, "\3", 1);
	put_string(&blob, n, sizeof(n));
	line = line_of("ssh-rsa", &blob);
	refuses("even modulus", line, strlen(line), "damaged");
}

static void test_bad_text(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *text;
		const char *reason;
	} cases[] = {
		{ "nothing", "", "no public key" },
		{ "blanks", " \n\t\n", "no public key" },
		{ "only a comment", "# ssh-ed25519\n", "no public key" },
		{ "private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n",
		  "private key" },
		{ "private key behind a public one",
		  ED25519 "\n-----BEGIN RSA PRIVATE KEY-----\n", "private key" },
		{ "PuTTY", "PuTTY-User-Key-File-2: ssh-rsa\n", "private key" },
		{ "RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n",
		  "another format" },
		{ "PEM", "-----BEGIN PUBLIC KEY-----\nMIIB\n", "another format" },
		{ "two keys", ED25519 "\n" ECDSA "\n", "several keys" },
		{ "a key and something", ED25519 "\nhello\n", "several keys" },
		{ "option", "no-pty " ED25519 "\n", "options" },
		{ "command", "command=\"id\" " ED25519 "\n", "options" },
		{ "command with blanks", "command=\"rm -rf /\",no-pty " ED25519 "\n",
		  "options" },
		{ "certificate", "ssh-ed25519-cert-v01@openssh.com AAAAIHNz\n",
		  "certificate" },
		{ "DSA", "ssh-dss AAAAB3NzaC1kc3MAAACBAP==\n", "DSA" },
		{ "security key", "sk-ssh-ed25519@openssh.com AAAAGnNr\n", "tokens" },
		{ "unknown type", "ssh-none AAAA\n", "'ssh-none'" },
		{ "type in capitals", "SSH-ED25519 AAAA\n", "'SSH-ED25519'" },
		{ "hostile type", "\033[2J AAAA\n", "\\x1b[2J" },
		{ "type alone", "ssh-ed25519\n", "missing" },
		{ "no base64", "ssh-ed25519 !!!!\n", "base64" },
		{ "cut base64", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A\n", "base64" },
		{ "short blob", "ssh-ed25519 AAAA\n", "damaged" },
		{ "cut key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcFPEc0\n",
		  "damaged" },
		{ "another type in the blob", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIHcF\n",
		  "not of the type" },
		{ "another curve in front",
		  "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlz\n",
		  "not of the type" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuses(cases[i].what, cases[i].text, strlen(cases[i].text),
			cases[i].reason);
}

static void test_bad_blobs(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *type;
		const char *fields[3];
		size_t sizes[3];
	} cases[] = {
		{ "Ed25519 of 31 bytes", "ssh-ed25519", { "" }, { 31 } },
		{ "Ed25519 with more behind it", "ssh-ed25519", { "", "" }, { 32, 0 } },
		{ "curve of another size",
		  "ecdsa-sha2-nistp256",
		  { "nistp384", "\4" },
		  { 8, 65 } },
		{ "compressed point",
		  "ecdsa-sha2-nistp256",
		  { "nistp256", "\2" },
		  { 8, 33 } },
		{ "point of the wrong form",
		  "ecdsa-sha2-nistp256",
		  { "nistp256", "\2" },
		  { 8, 65 } },
		{ "no point", "ecdsa-sha2-nistp521", { "nistp521" }, { 8 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf blob = { 0 };
		_cleanup_free_ char *line = NULL;

		put_string(&blob, cases[i].type, strlen(cases[i].type));
		for (size_t f = 0; f < 3 && cases[i].fields[f]; f++) {
			char field[128] = { 0 };

			strncpy(field, cases[i].fields[f], sizeof(field) - 1);
			put_string(&blob, field, cases[i].sizes[f]);
		}
		line = line_of(cases[i].type, &blob);
		refuses(cases[i].what, line, strlen(line), "damaged");
	}
}

static void test_size_limits(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf text = { 0 }, blob = { 0 };
	_cleanup_free_ char *line = NULL;

	refuses("NUL", ED25519 "\0x", sizeof(ED25519 "\0x") - 1, "not text");

	while (text.size <= KEY_LINE_MAX)
		strbuf_str(&text, ED25519 " padding ");
	refuses("too long", text.data, text.size, "too long");

	put_string(&blob, "ssh-ed25519", 11);
	for (int i = 0; i < 5000; i++)
		strbuf_char(&blob, 0);
	line = line_of("ssh-ed25519", &blob);
	refuses("blob too long", line, strlen(line), "too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_long_comment_is_cut),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_even_modulus),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_bad_blobs),
		cmocka_unit_test(test_size_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Vectors: FIPS 180-4 examples, and lengths around the padding made with sha256sum(1). */
static void test_sha256(void **state)
{
	static const struct {
		const char *what;
		size_t repeat; /* of 'a'; 0: text */
		const char *text;
		const char *hex;
	} cases[] = {
		{ "empty", 0, "",
		  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", 0, "abc",
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "two blocks", 0,
		  "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "55", 55, NULL,
		  "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
		{ "56", 56, NULL,
		  "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a" },
		{ "64", 64, NULL,
		  "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
		{ "a million", 1000000, NULL,
		  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf hex = { 0 };
		_cleanup_free_ char *input = NULL;
		uint8_t digest[DIGEST_SHA256_SIZE];
		size_t size = cases[i].text ? strlen(cases[i].text) : cases[i].repeat;

		input = malloc(size + 1);
		assert_non_null(input);
		if (cases[i].text)
			memcpy(input, cases[i].text, size);
		else
			memset(input, 'a', size);
		digest_sha256(input, size, digest);
		for (size_t j = 0; j < sizeof(digest); j++)
			strbuf_format(&hex, "%02x", digest[j]);
		if (!str_equal(strbuf_get(&hex), cases[i].hex))
			fail_msg("%s: %s", cases[i].what, strbuf_get(&hex));
	}
}

/* RFC 4648 10 */
static void test_base64(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf padded = { 0 }, bare = { 0 };

		digest_base64(&padded, cases[i][0], strlen(cases[i][0]), true);
		digest_base64(&bare, cases[i][0], strlen(cases[i][0]), false);
		assert_string_equal(strbuf_get(&padded), cases[i][1]);
		assert_int_equal(bare.size, strcspn(cases[i][1], "="));
		assert_memory_equal(strbuf_get(&bare), cases[i][1], bare.size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

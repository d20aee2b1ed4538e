#include "command/key_line.h"

#include <string.h>

#include "base/base64.h"
#include "base/escape.h"
#include "base/str.h"
#include "protocol/request.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384
#define COMMENT_MAX 256

/* What a blob says, read front to back; fails once and for all. */
struct blob {
	const uint8_t *data;
	size_t size;
	bool failed;
};

struct span {
	const uint8_t *data;
	size_t size;
};

/* A string of RFC 4251 5: big-endian length and that many bytes. */
static struct span blob_string(struct blob *b)
{
	struct span s = { 0 };
	uint32_t n;

	if (b->failed || b->size < 4) {
		b->failed = true;
		return s;
	}
	n = (uint32_t)b->data[0] << 24 | (uint32_t)b->data[1] << 16 |
	    (uint32_t)b->data[2] << 8 | b->data[3];
	if (n > b->size - 4) {
		b->failed = true;
		return s;
	}
	s = (struct span){ .data = b->data + 4, .size = n };
	b->data += 4 + n;
	b->size -= 4 + n;
	return s;
}

/* A positive mpint in its shortest form, without the leading zero byte; fails on any other. */
static struct span blob_mpint(struct blob *b)
{
	struct span s = blob_string(b);

	if (s.size == 0 || (s.data[0] & 0x80) ||
	    (s.data[0] == 0 && (s.size == 1 || !(s.data[1] & 0x80)))) {
		b->failed = true;
		return (struct span){ 0 };
	}
	if (s.data[0] == 0) {
		s.data++;
		s.size--;
	}
	return s;
}

static size_t span_bits(struct span s)
{
	size_t bits = s.size * 8;

	for (uint8_t top = s.size ? s.data[0] : 0; top && !(top & 0x80); top <<= 1)
		bits--;
	return bits;
}

static bool span_is(struct span s, const char *text)
{
	return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

static int refuse(struct error *err, const char *reason, const char *suggestion)
{
	error_user(err, -EINVAL, "INVALID_PUBLIC_KEY", "%s", reason);
	error_suggest(err, "%s", suggestion);
	return -EINVAL;
}

#define SUGGEST_NEW_KEY "make one with: ssh-keygen -t ed25519"
#define SUGGEST_PUB_FILE \
	"pass the file that ends in .pub: hostkit key add NAME < id_ed25519.pub"

static int refuse_damaged(struct error *err)
{
	return refuse(err, "the key is damaged: its contents are not what its type needs",
		      SUGGEST_PUB_FILE);
}

static int check_ed25519(struct blob *b, const char *detail _unused_, struct error *err)
{
	struct span point = blob_string(b);

	return b->failed || point.size != 32 ? refuse_damaged(err) : 0;
}

/* detail: the curve's name, whose last three digits are its size in bits. */
static int check_ecdsa(struct blob *b, const char *detail, struct error *err)
{
	struct span curve = blob_string(b), point = blob_string(b);
	uint64_t bits = 0;

	if (b->failed || !span_is(curve, detail) ||
	    str_to_u64(detail + strlen("nistp"), 521, &bits) < 0)
		return refuse_damaged(err);
	/* uncompressed (SEC 1 2.3.3), the only form that RFC 5656 3.1 makes everybody read */
	if (point.size != 1 + 2 * ((bits + 7) / 8) || point.data[0] != 4)
		return refuse_damaged(err);
	return 0;
}

static int check_rsa(struct blob *b, const char *detail _unused_, struct error *err)
{
	struct span e = blob_mpint(b), n = blob_mpint(b);
	size_t bits = span_bits(n);

	if (b->failed)
		return refuse_damaged(err);
	if (bits < RSA_BITS_MIN) {
		error_user(err, -EINVAL, "INVALID_PUBLIC_KEY",
			   "an RSA key of %zu bits is too weak, %d is the least", bits,
			   RSA_BITS_MIN);
		error_suggest(err, SUGGEST_NEW_KEY);
		return -EINVAL;
	}
	if (bits > RSA_BITS_MAX)
		return refuse(err, "an RSA key of more than 16384 bits is not accepted",
			      SUGGEST_NEW_KEY);
	/* an even modulus is no product of two odd primes; with e = 1 anybody could sign */
	if (!(n.data[n.size - 1] & 1) || !(e.data[e.size - 1] & 1) || span_bits(e) < 2)
		return refuse_damaged(err);
	return 0;
}

static const struct key_type {
	const char *name;
	int (*check)(struct blob *b, const char *detail, struct error *err);
	const char *detail;
} key_types[] = {
	{ "ssh-ed25519", check_ed25519, NULL },
	{ "ecdsa-sha2-nistp256", check_ecdsa, "nistp256" },
	{ "ecdsa-sha2-nistp384", check_ecdsa, "nistp384" },
	{ "ecdsa-sha2-nistp521", check_ecdsa, "nistp521" },
	{ "ssh-rsa", check_rsa, NULL },
};

static const struct key_type *key_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_types); i++)
		if (str_equal(key_types[i].name, name))
			return &key_types[i];
	return NULL;
}

/* The next word of *s, which is moved behind it and the blanks that follow. */
static char *take_word(const char **s)
{
	size_t n = strcspn(*s, " \t");
	char *word = strndup(*s, n);

	*s += n;
	*s += strspn(*s, " \t");
	return word;
}

/* Why `type`, with `rest` behind it, is not the beginning of a key we accept. */
static int refuse_type(const char *type, const char *rest, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(type, 48);

	if (str_has_suffix(type, "-cert-v01@openssh.com"))
		return refuse(err, "this is a certificate, not a key",
			      "pass the file without '-cert' in its name");
	if (str_equal(type, "ssh-dss"))
		return refuse(err, "DSA keys are not secure and are not accepted",
			      SUGGEST_NEW_KEY);
	if (str_after_prefix(type, "sk-"))
		return refuse(err, "keys on security tokens are not supported",
			      SUGGEST_NEW_KEY);
	/* `command="..." ssh-rsa AAAA`: a line of authorized_keys, which would promise limits we do not keep */
	if (strstr(rest, "AAAA") &&
	    (strpbrk(type, "=,\"") || strstr(rest, "ssh-") || strstr(rest, "ecdsa-")))
		return refuse(err, "options in front of a key are not accepted",
			      "pass the key alone: TYPE BASE64 COMMENT");

	error_user(err, -EINVAL, "INVALID_PUBLIC_KEY",
		   "'%s' does not begin a public key that is accepted",
		   shown ? shown : "?");
	error_suggest(err, SUGGEST_PUB_FILE);
	return -EINVAL;
}

static int check_blob(const struct key_type *type, const struct strbuf *bytes,
		      struct error *err)
{
	struct blob b = { .data = (const uint8_t *)strbuf_get(bytes),
			  .size = bytes->size };
	struct span name = blob_string(&b);
	int r;

	if (bytes->size > REQUEST_KEY_BLOB_MAX)
		return refuse(err, "the key is too long", SUGGEST_NEW_KEY);
	if (!b.failed && !span_is(name, type->name))
		return refuse(err, "the key is not of the type written in front of it",
			      SUGGEST_PUB_FILE);
	r = type->check(&b, type->detail, err);
	if (r < 0)
		return r;
	if (b.failed || b.size > 0)
		return refuse_damaged(err);
	return 0;
}

static int parse_line(const char *line, struct key_line *ret_key, struct error *err)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	_cleanup_strbuf_ struct strbuf bytes = { 0 };
	_cleanup_free_ char *base64 = NULL;
	const struct key_type *type;
	int r;

	key.type = take_word(&line);
	if (!key.type)
		return -ENOMEM;
	type = key_type_find(key.type);
	if (!type)
		return refuse_type(key.type, line, err);

	base64 = take_word(&line);
	if (!base64)
		return -ENOMEM;
	if (*base64 == '\0')
		return refuse(err, "the key itself is missing behind its type",
			      SUGGEST_PUB_FILE);
	if (base64_decode(base64, strlen(base64), &bytes) < 0)
		return refuse(err, "the key is not valid base64: it may have been cut",
			      SUGGEST_PUB_FILE);
	r = check_blob(type, &bytes, err);
	if (r < 0)
		return r;

	key.comment = escape_text(line, COMMENT_MAX);
	key.blob_size = bytes.size;
	key.blob = strbuf_steal(&bytes);
	if (!key.comment || !key.blob)
		return -ENOMEM;
	*ret_key = key;
	key = (struct key_line){ 0 };
	return 0;
}

void key_line_done(struct key_line *key)
{
	free(key->type);
	free(key->blob);
	free(key->comment);
	*key = (struct key_line){ 0 };
}

static bool contains(const char *text, size_t size, const char *what)
{
	return memmem(text, size, what, strlen(what)) != NULL;
}

/* What else people put where a public key belongs. */
static int check_format(const char *text, size_t size, struct error *err)
{
	if (contains(text, size, "PRIVATE KEY-----") ||
	    contains(text, size, "PuTTY-User-Key-File"))
		return refuse(err, "this is a private key: it must stay with its owner",
			      SUGGEST_PUB_FILE);
	if (contains(text, size, "BEGIN SSH2 PUBLIC KEY") ||
	    contains(text, size, "BEGIN PUBLIC KEY") ||
	    contains(text, size, "BEGIN RSA PUBLIC KEY"))
		return refuse(err, "this is a public key in another format",
			      "convert it: ssh-keygen -i -f FILE");
	if (memchr(text, '\0', size))
		return refuse(err, "this is not text, let alone a public key",
			      SUGGEST_PUB_FILE);
	return 0;
}

/* Does this line say anything? Drops blanks and carriage returns at both ends. */
static bool trim_line(const char **line, size_t *size)
{
	while (*size > 0 && strchr(" \t\r", (*line)[*size - 1]))
		(*size)--;
	while (*size > 0 && strchr(" \t", **line)) {
		(*line)++;
		(*size)--;
	}
	return *size > 0 && **line != '#';
}

int key_line_parse(const char *text, size_t size, struct key_line *ret_key,
		   struct error *err)
{
	_cleanup_free_ char *found = NULL;
	int r;

	if (size > KEY_LINE_MAX)
		return refuse(err, "this is too long for a public key", SUGGEST_PUB_FILE);
	r = check_format(text, size, err);
	if (r < 0)
		return r;

	for (size_t at = 0; at < size;) {
		const char *line = text + at;
		const char *end = memchr(line, '\n', size - at);
		size_t n = end ? (size_t)(end - line) : size - at;

		at += n + 1;
		if (!trim_line(&line, &n))
			continue;
		if (found)
			return refuse(err, "these are several keys, one is wanted",
				      "add each under a name of its own");
		found = strndup(line, n);
		if (!found)
			return error_internal(err, -ENOMEM, "public key");
	}
	if (!found)
		return refuse(err, "no public key came on standard input",
			      SUGGEST_PUB_FILE);

	r = parse_line(found, ret_key, err);
	return r < 0 && !error_is_set(err) ? error_internal(err, r, "public key") : r;
}

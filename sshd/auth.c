/*
 * Authentication: public keys only. libssh verifies signatures; which key may log in is hostkitd's to say.
 *
 * Keeps true: the identity of a connection comes from the one call in which libssh reports a verified
 * signature, and from the key of that very call. Every request gets an answer at once, also those that
 * libssh 0.10 drops silently (unknown key types, malformed keys, wrong signatures). Packets that belong to
 * other methods do not reach libssh at all.
 */

#include <openssl/evp.h>
#include <string.h>

#include "base/escape.h"
#include "base/log.h"
#include "sshd/internal.h"
#include "sshd/userauth.h"

/* RFC 4250 4.1.2: authentication messages; the first of them is the request. */
#define AUTH_PACKET_REQUEST 50
#define AUTH_PACKET_COUNT 17

/*
 * Not part of libssh's interface, but in its archive, which is what we link: the first lets us see a packet
 * before libssh does, the other sends SSH_MSG_USERAUTH_FAILURE.
 */
void ssh_packet_set_callbacks(ssh_session session, ssh_packet_callbacks callbacks);
int ssh_auth_reply_default(ssh_session session, int partial);

static void auth_refuse(struct connection *c, const char *why)
{
	connection_log(c, LOG_DEBUG, "authentication refused: %s", why);
	(void)ssh_auth_reply_default(c->session, 0); /* a dead session is noticed later */
}

/* A signature that is none counts; an offer or a question does not. */
static void auth_failure(struct connection *c, const char *why)
{
	connection_log(c, LOG_INFO, "authentication failed: %s", why);
	if (++c->auth.failures >= AUTH_FAILURES_MAX)
		c->auth.hopeless = true;
}

void auth_settle(struct connection *c)
{
	if (!c->auth.unanswered)
		return;
	c->auth.unanswered = false;
	auth_failure(c, "malformed key or wrong signature");
	auth_refuse(c, "no answer by libssh");
}

static bool user_allowed(const struct connection *c, const struct userauth_bytes *user)
{
	const char *at = c->setup.users;

	while (*at) {
		size_t size = strcspn(at, " \t");

		if (size > 0 && size == user->size && memcmp(at, user->data, size) == 0)
			return true;
		at += size;
		at += strspn(at, " \t");
	}
	return false;
}

/* Returns why libssh must not have the request, or NULL. */
static const char *judge(struct connection *c, const void *data, size_t size)
{
	struct userauth request;
	const char *why;

	if (userauth_parse(data, size, &request) < 0) {
		auth_failure(c, "malformed request");
		return "malformed request";
	}
	if (!userauth_is(&request.method, "publickey"))
		return "not a public key";
	if (!user_allowed(c, &request.user)) {
		connection_log(c, LOG_DEBUG, "user name not accepted");
		return "user name not accepted";
	}
	why = userauth_objection(&request);
	if (why && request.has_signature)
		auth_failure(c, why);
	return why;
}

static int on_request(ssh_session session _unused_, uint8_t type _unused_,
		      ssh_buffer packet, void *userdata)
{
	struct connection *c = userdata;
	const char *why;

	if (c->auth.done || c->auth.hopeless)
		return SSH_PACKET_USED; /* RFC 4252 5.1: silently ignored */
	auth_settle(c);
	if (++c->auth.requests > AUTH_REQUESTS_MAX) {
		c->auth.hopeless = true;
		return SSH_PACKET_USED;
	}
	if (!c->client) {
		c->auth.hopeless = true; /* without hostkitd nobody can be known */
		return SSH_PACKET_USED;
	}
	why = judge(c, ssh_buffer_get(packet), ssh_buffer_get_len(packet));
	if (why) {
		auth_refuse(c, why);
		return SSH_PACKET_USED;
	}
	c->auth.unanswered = true;
	return SSH_PACKET_NOT_USED;
}

/* Messages of other methods, and those that only a server sends. */
static int on_foreign(ssh_session session _unused_, uint8_t type,
		      ssh_buffer packet _unused_, void *userdata)
{
	struct connection *c = userdata;

	connection_log(c, LOG_WARNING, "unexpected packet of type %u", type);
	c->auth.hopeless = true;
	return SSH_PACKET_USED;
}

/* The key in wire format, from the key object that libssh has verified with. */
static int key_blob(ssh_key key, struct strbuf *blob)
{
	char *base64 = NULL;
	size_t size;
	int n, r = -ENOMEM;

	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return -EINVAL;
	size = strlen(base64);
	if (size / 4 * 3 <= REQUEST_KEY_BLOB_MAX) {
		_cleanup_free_ uint8_t *bytes = malloc(size / 4 * 3 + 3);

		n = bytes ? EVP_DecodeBlock(bytes, (const uint8_t *)base64, (int)size)
			  : -1;
		/* it counts the padding as zero bytes */
		for (size_t i = size; n > 0 && i > 0 && base64[i - 1] == '='; i--)
			n--;
		if (n > 0) {
			wire_put_bytes(blob, bytes, (size_t)n);
			r = strbuf_failed(blob) ? -ENOMEM : 0;
		}
	}
	ssh_string_free_char(base64);
	return r;
}

static char *key_fingerprint(ssh_key key)
{
	unsigned char *hash = NULL;
	size_t size = 0;
	char *text, *copy;

	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) !=
	    SSH_OK)
		return NULL;
	text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
	ssh_clean_pubkey_hash(&hash);
	copy = text ? strdup(text) : NULL;
	ssh_string_free_char(text);
	return copy;
}

/* Does hostkitd know the key? An answer of its does not log anybody in. */
static bool probe(struct connection *c, ssh_key key)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	bool known;

	if (key_blob(key, &args) < 0)
		return false;
	if (client_call(c->client, REQUEST_AUTH_PROBE, &args, NULL, 0, &answer, &err) <
	    0) {
		log_error(LOG_ERR, &err, "%s: probe a key", c->peer.address);
		c->auth.hopeless = true;
		return false;
	}
	known = wire_bool(&answer.body);
	return wire_end(&answer.body) == 0 && known;
}

/* Tell hostkitd who has signed. Returns 0 when the key may log in. */
static int claim(struct connection *c, ssh_key key, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_free_ char *name = NULL;
	int r = key_blob(key, &args);

	if (r < 0)
		return error_internal(err, r, "export the key");
	wire_put_string(&args, c->peer.address);
	r = client_call(c->client, REQUEST_AUTH_KEY, &args, NULL, 0, &answer, err);
	if (r < 0)
		return r;
	name = wire_string(&answer.body, REQUEST_NAME_MAX);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to AUTH_KEY");
	c->auth.name = TAKE_PTR(name);
	return 0;
}

static int on_verified(struct connection *c, ssh_key key)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_free_ char *fingerprint = key_fingerprint(key);
	_cleanup_free_ char *banner = NULL;
	const char *version = ssh_get_clientbanner(c->session);

	if (!fingerprint || claim(c, key, &err) < 0) {
		if (error_is_set(&err) && !err.code)
			c->auth.hopeless = true; /* hostkitd has closed on us */
		connection_log(c, LOG_INFO, "key %s: %s", fingerprint ? fingerprint : "?",
			       error_text(&err, true));
		auth_failure(c, "the key may not log in");
		return SSH_AUTH_DENIED;
	}
	c->auth.fingerprint = TAKE_PTR(fingerprint);
	c->auth.done = true;
	(void)!handoff_send_authenticated(HANDOFF_FD); /* it may have been restarted */

	banner = escape_text(version ? version : "", 128);
	connection_log(c, LOG_INFO, "logged in as key '%s', client %s", c->auth.name,
		       banner ? banner : "?");
	return SSH_AUTH_SUCCESS;
}

static int on_public_key(ssh_session session _unused_, const char *user _unused_,
			 struct ssh_key_struct *key, char state, void *userdata)
{
	struct connection *c = userdata;

	c->auth.unanswered = false;
	if (c->auth.done || c->auth.hopeless || !c->client)
		return SSH_AUTH_DENIED;
	if (state == SSH_PUBLICKEY_STATE_NONE)
		return probe(c, key) ? SSH_AUTH_SUCCESS : SSH_AUTH_DENIED;
	if (state == SSH_PUBLICKEY_STATE_VALID)
		return on_verified(c, key);
	auth_failure(c, "wrong signature");
	return SSH_AUTH_DENIED;
}

int auth_attach(struct connection *c)
{
	static ssh_packet_callback handlers[AUTH_PACKET_COUNT] = {
		on_request, on_foreign, on_foreign, on_foreign, on_foreign, on_foreign,
		on_foreign, on_foreign, on_foreign, on_foreign, on_foreign, on_foreign,
		on_foreign, on_foreign, on_foreign, on_foreign, on_foreign,
	};

	c->auth_packets = (struct ssh_packet_callbacks_struct){
		.start = AUTH_PACKET_REQUEST,
		.n_callbacks = AUTH_PACKET_COUNT,
		.callbacks = handlers,
		.user = c,
	};
	ssh_packet_set_callbacks(c->session, &c->auth_packets);
	c->server_callbacks.auth_pubkey_function = on_public_key;
	ssh_set_auth_methods(c->session, SSH_AUTH_METHOD_PUBLICKEY);
	return 0;
}

void auth_done(struct auth *auth)
{
	free(auth->fingerprint);
	free(auth->name);
}

/* The language in which changes to a .env are asked for and answered (env.h). */
#include "home/env.h"

#include "protocol/request.h"

void env_changes_done(struct env_changes *changes)
{
	for (uint32_t i = 0; i < changes->count; i++) {
		char *value = changes->items[i].value;

		if (value)
			explicit_bzero(value, strlen(value));
		free(value);
		free(changes->items[i].key);
	}
	free(changes->items);
	*changes = (struct env_changes){ 0 };
}

void env_changes_put(struct strbuf *buf, const struct env_changes *changes)
{
	wire_put_u32(buf, changes->count);
	for (uint32_t i = 0; i < changes->count; i++) {
		wire_put_u32(buf, changes->items[i].op);
		wire_put_string(buf, changes->items[i].key);
		wire_put_string(buf, changes->items[i].value);
	}
}

int env_changes_get(const void *data, size_t size, struct env_changes *ret_changes)
{
	_cleanup_env_changes_ struct env_changes changes = { 0 };
	struct wire w = wire_reader(data, size);
	uint32_t count = wire_u32(&w);
	bool sound = count <= ENV_CHANGES_MAX;
	int r;

	changes.items = calloc(sound && count > 0 ? count : 1, sizeof(*changes.items));
	if (!changes.items)
		return -ENOMEM;
	for (uint32_t i = 0; sound && i < count; i++) {
		struct env_change *change = &changes.items[i];

		change->op = wire_u32(&w);
		change->key = wire_string(&w, ENV_KEY_MAX);
		change->value = wire_string(&w, ENV_VALUE_MAX);
		changes.count++;
		sound = change->op < _ENV_OP_N && change->key && change->value &&
			(change->op == ENV_OP_SET || *change->value == '\0');
	}
	r = wire_end(&w);
	if (r < 0)
		return r;
	if (!sound)
		return -EBADMSG;
	*ret_changes = changes;
	changes = (struct env_changes){ 0 };
	return 0;
}

int env_apply(struct env *env, const struct env_changes *changes, bool *changed,
	      struct error *err)
{
	for (uint32_t i = 0; i < changes->count; i++) {
		const struct env_change *change = &changes->items[i];
		int r;

		if (env_key_is_reserved(change->key))
			return error_user(err, -EPERM, "RESERVED_KEY",
					  "%s is set by HostKit and cannot be changed",
					  change->key);
		if (change->op == ENV_OP_SET)
			r = env_set(env, change->key, change->value, err);
		else
			r = env_unset(env, change->key, err);
		if (r < 0)
			return r;
		changed[i] = r > 0;
	}
	return 0;
}

void env_answer_put(struct strbuf *buf, const bool *changed, uint32_t count,
		    const struct error *err)
{
	if (error_is_set(err)) {
		wire_put_u32(buf, (uint32_t)err->number);
		wire_put_string(buf, err->code);
		wire_put_string(buf, error_text(err, false));
		wire_put_string(buf, err->suggestion);
		return;
	}
	wire_put_u32(buf, 0);
	wire_put_u32(buf, count);
	for (uint32_t i = 0; i < count; i++)
		wire_put_bool(buf, changed[i]);
}

/* Codes outlive the message they came in, so they are taken from what this module can report. */
static const char *code_constant(const char *code)
{
	static const char *const codes[] = { "ENV_BUSY",        "ENV_INVALID",
					     "ENV_TOO_LARGE",   "INVALID_KEY",
					     "INVALID_REQUEST", "INVALID_VALUE",
					     "RESERVED_KEY" };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (str_equal(code, codes[i]))
			return codes[i];
	return NULL;
}

static int answer_error(struct wire *w, int number, struct error *err)
{
	_cleanup_free_ char *code = wire_string(w, REQUEST_NAME_MAX);
	_cleanup_free_ char *message = wire_string(w, REQUEST_TEXT_MAX);
	_cleanup_free_ char *suggestion = wire_string(w, REQUEST_TEXT_MAX);

	if (number >= 0 || wire_end(w) < 0)
		return error_internal(err, -EBADMSG, "answer of hostkit-home");
	if (!code_constant(code))
		return error_internal(err, number, "change .env");
	error_user(err, number, code_constant(code), "%s", message);
	if (*suggestion)
		error_suggest(err, "%s", suggestion);
	return number;
}

int env_answer_get(const void *data, size_t size, uint32_t count, bool *changed,
		   struct error *err)
{
	struct wire w = wire_reader(data, size);
	int32_t status = (int32_t)wire_u32(&w);

	if (status != 0)
		return answer_error(&w, status, err);
	if (wire_u32(&w) != count)
		return error_internal(err, -EBADMSG, "answer of hostkit-home");
	for (uint32_t i = 0; i < count; i++)
		changed[i] = wire_bool(&w);
	if (wire_end(&w) < 0)
		return error_internal(err, -EBADMSG, "answer of hostkit-home");
	return 0;
}

/* Who and what: whoami, version, capabilities. */

#include "command/internal.h"
#include "protocol/request.h"

int verb_whoami(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "name" },
		{ "role", "role" },
		{ "project", "project" },
		{ "fingerprint", "fingerprint" },
	};
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_free_ char *name = NULL, *fingerprint = NULL, *project = NULL;
	uint32_t role;
	int r = command_call(command, REQUEST_WHOAMI, NULL, &answer, err);

	if (r < 0)
		return r;
	name = wire_string(&answer.body, REQUEST_TEXT_MAX);
	role = wire_u32(&answer.body);
	fingerprint = wire_string(&answer.body, REQUEST_TEXT_MAX);
	project = wire_string(&answer.body, REQUEST_NAME_MAX);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to WHOAMI");

	reply_put_text(&o, "name", name);
	reply_put_text(&o, "role", role_name(role));
	reply_put_text(&o, "project", *project ? project : NULL);
	reply_put_text(&o, "fingerprint", *fingerprint ? fingerprint : NULL);
	r = command_answer(command, reply_take(&o), err);
	if (r >= 0)
		reply_fields(&command->out, command->data, columns, ARRAY_SIZE(columns));
	return r;
}

int verb_version(struct command *command, struct error *err)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	reply_put_text(&o, "version", HOSTKIT_VERSION);
	strbuf_str(&command->out, "hostkit " HOSTKIT_VERSION "\n");
	return command_answer(command, reply_take(&o), err);
}

static json_t *array_of(const char *(*name)(uint32_t), uint32_t count)
{
	_cleanup_json_ json_t *array = json_array();

	for (uint32_t i = 0; i < count; i++)
		if (json_array_append_new(array, json_string(name(i))) < 0)
			return NULL;
	return TAKE_PTR(array);
}

static json_t *array_of_verbs(void)
{
	_cleanup_json_ json_t *array = json_array();
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(array, json_string(table[i].name)) < 0)
			return NULL;
	return TAKE_PTR(array);
}

static void list_words(struct strbuf *out, const char *heading, const json_t *words)
{
	const json_t *word;
	size_t i;

	strbuf_format(out, "%s:\n", heading);
	json_array_foreach(words, i, word)
		strbuf_format(out, "       %s\n", json_string_value(word));
}

int verb_capabilities(struct command *command, struct error *err)
{
	static const char *const lists[] = { "runtimes", "roles", "verbs" };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	int r;

	reply_put_text(&o, "version", HOSTKIT_VERSION);
	reply_put_json(&o, "runtimes", array_of(runtime_name, _RUNTIME_N));
	reply_put_json(&o, "roles", array_of(role_name, _ROLE_N));
	reply_put_json(&o, "verbs", array_of_verbs());
	r = command_answer(command, reply_take(&o), err);
	if (r < 0)
		return r;

	strbuf_str(&command->out, "version " HOSTKIT_VERSION "\n");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		list_words(&command->out, lists[i],
			   json_object_get(command->data, lists[i]));
	return 0;
}

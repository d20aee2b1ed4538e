/* SSH keys: key add|list|remove. */

#include "base/io.h"
#include "command/internal.h"
#include "command/key_line.h"
#include "protocol/name.h"
#include "protocol/record.h"

static json_t *key_row(struct wire *w)
{
	_cleanup_record_(key_record) struct key_record k = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	key_record_get(w, &k);
	if (w->failed)
		return NULL;
	reply_put_text(&o, "name", k.name);
	reply_put_text(&o, "role", role_name(k.role));
	reply_put_text(&o, "project", *k.project ? k.project : NULL);
	reply_put_text(&o, "type", k.type);
	reply_put_text(&o, "fingerprint", k.fingerprint);
	reply_put_text(&o, "comment", k.comment);
	reply_put_time(&o, "added", k.added_sec);
	reply_put_time(&o, "used", k.used_sec);
	return reply_take(&o);
}

int verb_key_list(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "NAME" },
		{ "role", "ROLE" },
		{ "project", "PROJECT" },
		{ "type", "TYPE" },
		{ "fingerprint", "FINGERPRINT" },
		{ "used", "LAST USED" },
		{ "comment", "COMMENT" },
	};
	_cleanup_json_ json_t *rows = NULL;
	int r = command_rows(command, REQUEST_KEY_LIST, NULL, key_row, &rows, err);

	if (r < 0)
		return r;
	reply_table(&command->out, rows, columns, ARRAY_SIZE(columns));
	if (json_array_size(rows) == 0)
		command_say(command,
			    "No keys yet: hostkit key add NAME --admin < id.pub");
	return command_answer(command, TAKE_PTR(rows), err);
}

/* What the new key is to be, and for which project ("" unless it is a deploy key). */
struct key_wish {
	const char *name;
	uint32_t role;
	char *project; /* owned */
};

static int find_role(const struct args *args, uint32_t *ret_role, struct error *err)
{
	int given =
		args->set[FLAG_ADMIN] + args->set[FLAG_OPERATOR] + args->set[FLAG_DEPLOY];

	if (given > 1)
		return args_refuse(args->verb, err, "a key has one role only");
	*ret_role = ROLE_DEPLOY;
	if (args->set[FLAG_ADMIN])
		*ret_role = ROLE_ADMIN;
	else if (args->set[FLAG_OPERATOR])
		*ret_role = ROLE_OPERATOR;
	if (*ret_role != ROLE_DEPLOY && args->word_count > 1)
		return args_refuse(args->verb, err,
				   "the key of an %s is not bound to a project",
				   role_name(*ret_role));
	return 0;
}

static int read_wish(struct command *command, struct key_wish *ret_wish,
		     struct error *err)
{
	const struct args *args = &command->args;
	_cleanup_free_ char *project = NULL;
	uint32_t role = ROLE_DEPLOY;
	int r = find_role(args, &role, err);

	if (r >= 0)
		r = name_check_key(args->words[args->word_count - 1], err);
	if (r >= 0 && args->word_count > 1)
		r = command_project(command, 0, &project, err);
	else if (r >= 0 && role == ROLE_DEPLOY)
		r = command_bound_project(command, &project, err);
	if (r < 0)
		return r;
	if (role == ROLE_DEPLOY && !project)
		return args_refuse(args->verb, err,
				   "a deploy key needs its project; for people there are "
				   "--admin and --operator");

	*ret_wish = (struct key_wish){
		.name = args->words[args->word_count - 1],
		.role = role,
		.project = TAKE_PTR(project),
	};
	return 0;
}

static int read_key(struct key_line *ret_key, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	int r = io_read_all(STDIN_FILENO, KEY_LINE_MAX, &text);

	if (r == -EFBIG)
		return error_user(err, -EINVAL, "INVALID_PUBLIC_KEY",
				  "standard input is too long for a public key");
	if (r < 0)
		return error_internal(err, r, "standard input");
	return key_line_parse(strbuf_get(&text), text.size, ret_key, err);
}

static int add_key(struct command *command, const struct key_wish *wish,
		   const struct key_line *key, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_free_ char *fingerprint = NULL;
	int r;

	wire_put_string(&args, wish->name);
	wire_put_u32(&args, wish->role);
	wire_put_string(&args, wish->project);
	wire_put_bytes(&args, key->blob, key->blob_size);
	wire_put_string(&args, key->comment);
	r = command_call(command, REQUEST_KEY_ADD, &args, &answer, err);
	if (r < 0)
		return r;
	fingerprint = wire_string(&answer.body, REQUEST_TEXT_MAX);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to KEY_ADD");

	reply_put_text(&o, "name", wish->name);
	reply_put_text(&o, "role", role_name(wish->role));
	reply_put_text(&o, "project", wish->project);
	reply_put_text(&o, "type", key->type);
	reply_put_text(&o, "fingerprint", fingerprint);
	command_say(command, "Added the %s key '%s' %s", role_name(wish->role),
		    wish->name, fingerprint);
	return command_answer(command, reply_take(&o), err);
}

int verb_key_add(struct command *command, struct error *err)
{
	_cleanup_key_line_ struct key_line key = { 0 };
	struct key_wish wish = { 0 };
	int r = read_wish(command, &wish, err);

	if (r >= 0)
		r = read_key(&key, err);
	if (r >= 0)
		r = add_key(command, &wish, &key, err);
	free(wish.project);
	return r;
}

int verb_key_remove(struct command *command, struct error *err)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_strbuf_ struct strbuf args = { 0 };
	const char *name = command->args.words[0];
	int r = name_check_key(name, err);

	if (r < 0)
		return r;
	wire_put_string(&args, name);
	r = command_do(command, REQUEST_KEY_REMOVE, &args, err);
	if (r < 0)
		return r;
	reply_put_text(&o, "name", name);
	command_say(command, "Removed the key '%s'", name);
	return command_answer(command, reply_take(&o), err);
}

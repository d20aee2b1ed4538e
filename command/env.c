/*
 * env list|get|set|unset. The file itself is read and written by hostkit-home as the project's user, at
 * the other end of a socket; here it is only parsed and shown.
 */

#include <sys/socket.h>

#include "base/escape.h"
#include "base/io.h"
#include "command/internal.h"
#include "home/env.h"
#include "protocol/name.h"

#define HIDDEN "********"

/* A conversation with hostkit-home about one .env. */
struct talk {
	int stream_fd;
	int status_fd;
};

static void talk_done(struct talk *talk)
{
	fd_close(talk->stream_fd);
	fd_close(talk->status_fd);
}

static int talk_open(struct command *command, const char *project, enum env_mode mode,
		     struct talk *ret_talk, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	int r;

	wire_put_string(&args, project);
	wire_put_u32(&args, mode);
	r = command_call(command, REQUEST_ENV_OPEN, &args, &answer, err);
	if (r < 0)
		return r;
	r = wire_end(&answer.body);
	if (r >= 0 && answer.packet.fd_count != 2)
		r = -EBADMSG;
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to ENV_OPEN");
	*ret_talk = (struct talk){
		.stream_fd = TAKE_FD(answer.packet.fds[0]),
		.status_fd = TAKE_FD(answer.packet.fds[1]),
	};
	return 0;
}

/* Read all that hostkit-home has to say and how it ended. */
static int talk_hear(struct talk *talk, struct strbuf *buf, struct error *err)
{
	int r = io_read_all(talk->stream_fd, ENV_FILE_MAX, buf);

	if (r < 0)
		return error_internal(err, r, "read .env");
	r = client_wait_status(talk->status_fd);
	if (r != 0)
		return error_internal(err, r < 0 ? r : -ECHILD,
				      "hostkit-home ended with status %d", r);
	return 0;
}

/*
 * The words behind the verb are [P] and keys or assignments. What cannot be a project's name because of an
 * upper-case letter, '_' or '=' is the first of those already.
 */
static bool first_is_project(const struct args *args)
{
	for (const char *p = args->words[0]; *p; p++)
		if ((*p >= 'A' && *p <= 'Z') || *p == '_' || *p == '=')
			return false;
	return true;
}

static int split_words(struct command *command, char **ret_project, size_t *ret_first,
		       struct error *err)
{
	bool named = first_is_project(&command->args);

	*ret_first = named ? 1 : 0;
	if (*ret_first == command->args.word_count)
		return args_refuse(command->args.verb, err, "which variable?");
	return command_project(command, named ? 0 : command->args.word_count, ret_project,
			       err);
}

static int read_env(struct command *command, const char *project, struct env *ret_env,
		    struct error *err)
{
	_cleanup_(talk_done) struct talk talk = { -EBADF, -EBADF };
	_cleanup_(strbuf_done_secret) struct strbuf text = { 0 };
	int r = talk_open(command, project, ENV_MODE_READ, &talk, err);

	if (r >= 0)
		r = talk_hear(&talk, &text, err);
	if (r >= 0)
		r = env_parse(strbuf_get(&text), text.size, ret_env, err);
	return r;
}

static json_t *variable_to_json(const struct env_entry *entry, bool show)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	bool hide = !show && env_key_is_secret(entry->key);

	reply_put_text(&o, "key", entry->key);
	reply_put_text(&o, "value", hide ? HIDDEN : entry->value);
	reply_put_bool(&o, "hidden", hide);
	reply_put_bool(&o, "reserved", env_key_is_reserved(entry->key));
	return reply_take(&o);
}

int verb_env_list(struct command *command, struct error *err)
{
	_cleanup_env_ struct env env = { 0 };
	_cleanup_json_ json_t *rows = json_array();
	_cleanup_free_ char *project = NULL;
	const struct env_entry *entry;
	const json_t *row;
	size_t at = 0, i;
	int r = command_project(command, 0, &project, err);

	if (r >= 0)
		r = read_env(command, project, &env, err);
	if (r < 0)
		return r;
	while ((entry = env_next(&env, &at)))
		if (json_array_append_new(
			    rows, variable_to_json(entry, command->args.set[FLAG_SHOW])) <
		    0)
			return error_internal(err, -ENOMEM, "variables");

	json_array_foreach(rows, i, row)
	{
		command_text(command, json_string_value(json_object_get(row, "key")));
		strbuf_char(&command->out, '=');
		command_text(command, json_string_value(json_object_get(row, "value")));
		strbuf_char(&command->out, '\n');
	}
	return command_answer(command, TAKE_PTR(rows), err);
}

static bool seen_by_a_person(const struct command *command)
{
	return command->session ? command->terminal : isatty(STDOUT_FILENO);
}

/* One value alone is for a script, byte for byte, unless a terminal would act on it. */
static void show_value(struct command *command, const char *key, const char *value)
{
	bool alone =
		command->args.word_count == (first_is_project(&command->args) ? 2u : 1u);

	if (!alone)
		strbuf_format(&command->out, "%s=", key);
	if (alone && !seen_by_a_person(command))
		strbuf_str(&command->out, value);
	else
		command_text(command, value);
	strbuf_char(&command->out, '\n');
}

static int var_not_found(const char *project, const char *key, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(key, 64);

	error_user(err, -ENOENT, "VAR_NOT_FOUND", "'%s' has no variable %s", project,
		   shown ? shown : "?");
	error_suggest(err, "hostkit env list %s", project);
	return -ENOENT;
}

int verb_env_get(struct command *command, struct error *err)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_env_ struct env env = { 0 };
	_cleanup_free_ char *project = NULL;
	size_t first;
	int r = split_words(command, &project, &first, err);

	if (r >= 0)
		r = read_env(command, project, &env, err);
	if (r < 0)
		return r;
	for (size_t i = first; i < command->args.word_count; i++) {
		const char *key = command->args.words[i];
		const char *value = env_get(&env, key);

		if (!value)
			return var_not_found(project, key, err);
		reply_put_text(&o, key, value);
		show_value(command, key, value);
	}
	return command_answer(command, reply_take(&o), err);
}

static int check_key(const char *key, struct error *err)
{
	_cleanup_free_ char *shown = NULL;

	if (env_key_is_reserved(key)) {
		error_user(err, -EPERM, "RESERVED_KEY",
			   "%s is set by HostKit and cannot be changed", key);
		return -EPERM;
	}
	if (env_key_is_valid(key))
		return 0;
	shown = escape_text(key, 64);
	error_user(err, -EINVAL, "INVALID_KEY", "'%s' cannot be the name of a variable",
		   shown ? shown : "?");
	error_suggest(err, "use letters, digits and underscores, not a digit first");
	return -EINVAL;
}

/* All of standard input, without the newline that `echo` puts at its end. */
static int value_from_stdin(char **ret_value, struct error *err)
{
	_cleanup_(strbuf_done_secret) struct strbuf text = { 0 };
	int r = io_read_all(STDIN_FILENO, ENV_VALUE_MAX + 2, &text);

	if (r < 0 && r != -EFBIG)
		return error_internal(err, r, "standard input");
	if (r == -EFBIG)
		return error_user(err, -EINVAL, "INVALID_VALUE",
				  "the value on standard input is too long");
	if (memchr(strbuf_get(&text), '\0', text.size))
		return error_user(err, -EINVAL, "INVALID_VALUE",
				  "the value on standard input is not text");
	if (text.size > 0 && text.data[text.size - 1] == '\n')
		text.data[--text.size] = '\0';
	if (text.size > 0 && text.data[text.size - 1] == '\r')
		text.data[--text.size] = '\0';
	*ret_value = strbuf_steal(&text);
	return *ret_value ? 0 : error_internal(err, -ENOMEM, "value");
}

static int read_assignment(struct command *command, const char *word, bool *stdin_used,
			   struct env_change *change, struct error *err)
{
	const char *equals = strchr(word, '=');
	int r;

	change->op = ENV_OP_SET;
	if (!equals)
		return args_refuse(command->args.verb, err,
				   "KEY=VALUE is wanted, or KEY=- to read the value");
	change->key = strndup(word, (size_t)(equals - word));
	if (!change->key)
		return error_internal(err, -ENOMEM, "variable");
	r = check_key(change->key, err);
	if (r < 0)
		return r;
	if (!str_equal(equals + 1, "-")) {
		change->value = strdup(equals + 1);
		return change->value ? 0 : error_internal(err, -ENOMEM, "variable");
	}
	if (*stdin_used)
		return args_refuse(command->args.verb, err,
				   "only one value can come from standard input");
	*stdin_used = true;
	return value_from_stdin(&change->value, err);
}

static int read_removal(const char *word, struct env_change *change, struct error *err)
{
	int r = check_key(word, err);

	if (r < 0)
		return r;
	change->op = ENV_OP_UNSET;
	change->key = strdup(word);
	change->value = strdup("");
	if (!change->key || !change->value)
		return error_internal(err, -ENOMEM, "variable");
	return 0;
}

static int read_changes(struct command *command, size_t first, bool set,
			struct env_changes *changes, struct error *err)
{
	const struct args *args = &command->args;
	size_t count = args->word_count - first;
	bool stdin_used = false;

	if (count > ENV_CHANGES_MAX)
		return args_refuse(args->verb, err, "more than %d variables at once",
				   ENV_CHANGES_MAX);
	changes->items = calloc(count, sizeof(*changes->items));
	if (!changes->items)
		return error_internal(err, -ENOMEM, "variables");
	for (size_t i = 0; i < count; i++) {
		struct env_change *change = &changes->items[changes->count++];
		int r = set ? read_assignment(command, args->words[first + i],
					      &stdin_used, change, err)
			    : read_removal(args->words[first + i], change, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int send_changes(struct command *command, const char *project,
			const struct env_changes *changes, bool *changed,
			struct error *err)
{
	_cleanup_(talk_done) struct talk talk = { -EBADF, -EBADF };
	_cleanup_(strbuf_done_secret) struct strbuf request = { 0 };
	_cleanup_strbuf_ struct strbuf answer = { 0 };
	int r = talk_open(command, project, ENV_MODE_EDIT, &talk, err);

	if (r < 0)
		return r;
	env_changes_put(&request, changes);
	if (strbuf_failed(&request))
		return error_internal(err, -ENOMEM, "variables");
	r = io_write_all(talk.stream_fd, request.data, request.size);
	if (r >= 0 && shutdown(talk.stream_fd, SHUT_WR) < 0)
		r = -errno;
	if (r < 0)
		return error_internal(err, r, "send changes to hostkit-home");
	r = talk_hear(&talk, &answer, err);
	if (r < 0)
		return r;
	return env_answer_get(strbuf_get(&answer), answer.size, changes->count, changed,
			      err);
}

static json_t *changed_keys(const struct env_changes *changes, const bool *changed)
{
	_cleanup_json_ json_t *keys = json_array();

	for (uint32_t i = 0; i < changes->count; i++)
		if (changed[i] &&
		    json_array_append_new(keys, json_string(changes->items[i].key)) < 0)
			return NULL;
	return TAKE_PTR(keys);
}

static int answer_changes(struct command *command, const char *project, json_t *keys,
			  struct error *err)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	size_t count = json_array_size(keys);
	bool restart = count > 0 && command->args.set[FLAG_RESTART];

	reply_put_json(&o, "changed", keys);
	reply_put_bool(&o, "restart_required", count > 0 && !restart);
	if (count == 0)
		command_say(command, "Nothing changed");
	else if (restart)
		command_say(command, "Changed %zu variable%s", count,
			    count == 1 ? "" : "s");
	else
		command_say(command,
			    "Changed %zu variable%s; the app sees it after: hostkit "
			    "restart %s",
			    count, count == 1 ? "" : "s", project);

	if (restart) {
		_cleanup_strbuf_ struct strbuf args = { 0 };
		int r;

		wire_put_string(&args, project);
		r = command_start_job(command, REQUEST_PROJECT_RESTART, &args, err);
		if (r < 0)
			return r;
	}
	return command_answer(command, reply_take(&o), err);
}

static int change_env(struct command *command, bool set, struct error *err)
{
	_cleanup_env_changes_ struct env_changes changes = { 0 };
	_cleanup_free_ char *project = NULL;
	_cleanup_free_ bool *changed = NULL;
	size_t first;
	int r = split_words(command, &project, &first, err);

	if (r >= 0)
		r = read_changes(command, first, set, &changes, err);
	if (r < 0)
		return r;
	changed = calloc(changes.count, sizeof(*changed));
	if (!changed)
		return error_internal(err, -ENOMEM, "variables");
	r = send_changes(command, project, &changes, changed, err);
	if (r < 0)
		return r;
	return answer_changes(command, project, changed_keys(&changes, changed), err);
}

int verb_env_set(struct command *command, struct error *err)
{
	return change_env(command, true, err);
}

int verb_env_unset(struct command *command, struct error *err)
{
	return change_env(command, false, err);
}

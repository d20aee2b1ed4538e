/* Help, read off the table of verbs: for people, as JSON, and as docs/commands.md. */

#include "command/internal.h"
#include "protocol/request.h"
#include "protocol/status.h"

static void append_flag(struct strbuf *out, const struct flag_info *flag)
{
	if (flag->letter)
		strbuf_format(out, "-%c, ", flag->letter);
	strbuf_format(out, "--%s", flag->name);
	if (flag->value)
		strbuf_format(out, " %s", flag->value);
}

/* "admin, operator" */
static void append_roles(struct strbuf *out, uint32_t roles)
{
	const char *comma = "";

	for (uint32_t i = 0; i < _ROLE_N; i++) {
		if (!(roles & (1u << i)))
			continue;
		strbuf_format(out, "%s%s", comma, role_name(i));
		comma = ", ";
	}
}

static void append_details(struct strbuf *out, const char *indent, const char *details)
{
	while (*details) {
		size_t n = strcspn(details, "\n");

		strbuf_str(out, indent);
		strbuf_append(out, details, n);
		strbuf_char(out, '\n');
		details += n + (details[n] ? 1 : 0);
	}
}

static bool flag_is_shown(const struct verb *verb, int flag)
{
	return (verb->flags & FLAG_BIT(flag)) && !flag_info(flag)->hidden;
}

static void append_verb(struct strbuf *out, const struct verb *verb)
{
	_cleanup_free_ char *usage = args_usage(verb);

	strbuf_format(out, "%s\n       %s\n", usage ? usage : verb->name, verb->help);
	if (verb->details)
		append_details(out, "       ", verb->details);
	strbuf_char(out, '\n');
	for (int i = 0; i < _FLAG_N; i++) {
		_cleanup_strbuf_ struct strbuf name = { 0 };

		if (!flag_is_shown(verb, i))
			continue;
		append_flag(&name, flag_info(i));
		strbuf_format(out, "  %-18s %s\n", strbuf_get(&name), flag_info(i)->help);
	}
	strbuf_format(out, "  %-18s %s\n", "--json", flag_info(FLAG_JSON)->help);
	strbuf_str(out, "\nfor: ");
	append_roles(out, verb->roles);
	strbuf_char(out, '\n');
	for (size_t i = 0; i < VERB_EXAMPLES_MAX && verb->examples[i]; i++)
		strbuf_format(out, "%s       %s\n", i == 0 ? "examples:\n" : "",
			      verb->examples[i]);
}

/* Is it one of the verbs of noun (NULL: any)? */
static bool verb_of_noun(const struct verb *verb, const char *noun)
{
	const char *rest = noun ? str_after_prefix(verb->name, noun) : NULL;

	return !noun || (rest && *rest == ' ');
}

static void append_overview(struct strbuf *out, const char *noun)
{
	size_t n;
	const struct verb *table = verb_table(&n);

	strbuf_format(out, "usage: hostkit %s [WORDS] [--flags]\n\n",
		      noun ? noun : "VERB");
	for (size_t i = 0; i < n; i++)
		if (verb_of_noun(&table[i], noun))
			strbuf_format(out, "  %-16s %s\n", table[i].name, table[i].help);
	strbuf_str(out, "\nMore about one: hostkit help VERB. A project is put live by "
			"git push.\n");
}

static json_t *flags_to_json(const struct verb *verb)
{
	_cleanup_json_ json_t *array = json_array();

	for (int i = 0; i < _FLAG_N; i++) {
		_cleanup_reply_object_ struct reply_object o = reply_object_new();
		const struct flag_info *flag = flag_info(i);

		if (!flag_is_shown(verb, i))
			continue;
		reply_put_text(&o, "name", flag->name);
		reply_put_text(&o, "value", flag->value);
		reply_put_text(&o, "help", flag->help);
		if (json_array_append_new(array, reply_take(&o)) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_t *verb_to_json(const struct verb *verb)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_json_ json_t *roles = json_array();

	for (uint32_t i = 0; i < _ROLE_N; i++)
		if ((verb->roles & (1u << i)) &&
		    json_array_append_new(roles, json_string(role_name(i))) < 0)
			return NULL;
	reply_put_text(&o, "verb", verb->name);
	reply_put_text(&o, "synopsis", verb->synopsis);
	reply_put_text(&o, "help", verb->help);
	reply_put_json(&o, "flags", flags_to_json(verb));
	reply_put_json(&o, "roles", TAKE_PTR(roles));
	return reply_take(&o);
}

static json_t *verbs_to_json(const char *noun)
{
	_cleanup_json_ json_t *array = json_array();
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++)
		if (verb_of_noun(&table[i], noun) &&
		    json_array_append_new(array, verb_to_json(&table[i])) < 0)
			return NULL;
	return TAKE_PTR(array);
}

int help_show(struct command *command, const struct verb *verb, const char *noun,
	      struct error *err)
{
	if (verb)
		append_verb(&command->out, verb);
	else
		append_overview(&command->out, noun);
	return command_answer(command, verb ? verb_to_json(verb) : verbs_to_json(noun),
			      err);
}

static void markdown_verb(struct strbuf *out, const struct verb *verb)
{
	strbuf_format(out, "### %s\n\n    hostkit %s%s%s\n\nFor ", verb->name, verb->name,
		      *verb->synopsis ? " " : "", verb->synopsis);
	append_roles(out, verb->roles);
	strbuf_format(out, ": %s.\n", verb->help);
	if (verb->details) {
		strbuf_char(out, '\n');
		append_details(out, "", verb->details);
	}
	for (int i = 0, shown = 0; i < _FLAG_N; i++) {
		if (!flag_is_shown(verb, i))
			continue;
		strbuf_str(out, shown++ ? "- `" : "\n- `");
		append_flag(out, flag_info(i));
		strbuf_format(out, "`: %s\n", flag_info(i)->help);
	}
	strbuf_char(out, '\n');
	for (size_t i = 0; i < VERB_EXAMPLES_MAX && verb->examples[i]; i++)
		strbuf_format(out, "%s    $ %s\n", i == 0 ? "Examples:\n\n" : "",
			      verb->examples[i]);
	strbuf_char(out, '\n');
}

static void markdown_statuses(struct strbuf *out)
{
	size_t n;
	const struct status_code *codes = status_codes(&n);

	strbuf_str(out, "## Exit status\n\n| status | meaning |\n|---|---|\n");
	for (unsigned int i = 0; i < _STATUS_N; i++)
		strbuf_format(out, "| %u | %s |\n", i, status_name(i));
	strbuf_str(out, "\n255 is the SSH client's own: it could not connect or was not "
			"let in.\n\n## Error codes\n\n"
			"`error.code` of an answer with `--json`. A code keeps its "
			"meaning for ever.\n\n"
			"| code | exit status | meaning |\n|---|---|---|\n");
	for (size_t i = 0; i < n; i++)
		strbuf_format(out, "| `%s` | %d | %s |\n", codes[i].code, codes[i].status,
			      codes[i].meaning);
}

static void append_markdown(struct strbuf *out)
{
	size_t n;
	const struct verb *table = verb_table(&n);

	strbuf_str(
		out,
		"# Commands\n\n"
		"<!-- Written by: hostkit help --markdown -->\n\n"
		"The verbs are the same over SSH (`ssh hostkit VERB`) and on the server "
		"(`hostkit VERB`), where\nroot is an admin and a project's user may act "
		"on its own project. `P` is the name of a project; in\nbrackets it may "
		"be left out by whoever has only one.\n\n"
		"The answer goes to standard output, complaints to standard error. With "
		"`--json` anywhere the answer\nis one object on standard output:\n\n"
		"    {\"success\": true, \"timestamp\": \"2025-02-15T12:00:00Z\", "
		"\"data\": ..., \"message\": ...}\n"
		"    {\"success\": false, \"timestamp\": \"2025-02-15T12:00:00Z\", "
		"\"error\":\n"
		"        {\"code\": \"PROJECT_NOT_FOUND\", \"message\": ..., "
		"\"suggestion\": ...}}\n\n"
		"What was written by others (the output of apps, comments of keys) is "
		"shown with its control\ncharacters as `\\xHH`. Flags may stand "
		"anywhere; behind `--` nothing is a flag.\n\n"
		"Provisioning, deleting and rolling back are jobs: what they print is "
		"shown until they end, but they\ngo on when the viewer leaves.\n\n"
		"## Verbs\n\n");
	for (size_t i = 0; i < n; i++)
		markdown_verb(out, &table[i]);
	markdown_statuses(out);
}

int verb_help(struct command *command, struct error *err)
{
	const struct args *args = &command->args;
	const struct verb *verb;
	size_t used = 0;

	if (args->set[FLAG_MARKDOWN]) {
		append_markdown(&command->out);
		return command_answer(command, verbs_to_json(NULL), err);
	}
	if (args->word_count == 0)
		return help_show(command, NULL, NULL, err);

	verb = verb_find(args->words, args->word_count, &used);
	if (verb && used == args->word_count)
		return help_show(command, verb, NULL, err);
	if (args->word_count == 1 && verb_is_noun(args->words[0]))
		return help_show(command, NULL, args->words[0], err);
	return args_refuse_verb(args->words, args->word_count, err);
}

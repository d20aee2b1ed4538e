#include "command/args.h"

#include "base/escape.h"
#include "base/str.h"
#include "command/suggest.h"

/* So much of a foreign word is repeated in a complaint. */
#define SHOWN_MAX 48

void args_done(struct args *args)
{
	free(args->words);
	*args = (struct args){ 0 };
}

char *args_usage(const struct verb *verb)
{
	return str_format("usage: hostkit %s%s%s", verb->name, *verb->synopsis ? " " : "",
			  verb->synopsis);
}

int args_refuse(const struct verb *verb, struct error *err, const char *fmt, ...)
{
	_cleanup_free_ char *usage = verb ? args_usage(verb) : NULL;
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = str_vformat(fmt, ap);
	va_end(ap);

	error_user(err, -EINVAL, "INVALID_OPTIONS", "%s%s%s", verb ? verb->name : "",
		   verb ? ": " : "", message ? message : "wrong arguments");
	error_suggest(err, "%s", usage ? usage : "hostkit help");
	return -EINVAL;
}

/* Where the words stand while they are taken apart. */
struct parser {
	const char *const *words;
	size_t count;
	size_t at;
	struct args *args;
	/* the first thing wrong with the flags, told once the verb is known */
	const char *bad_word;
	const char *bad_reason;
};

static void parser_complain(struct parser *p, const char *word, const char *reason)
{
	if (p->bad_word)
		return;
	p->bad_word = word;
	p->bad_reason = reason;
}

static int find_long(const char *name, size_t size)
{
	for (int i = 0; i < _FLAG_N; i++)
		if (strncmp(flag_info(i)->name, name, size) == 0 &&
		    flag_info(i)->name[size] == '\0')
			return i;
	return -1;
}

static int find_short(char letter)
{
	for (int i = 0; letter && i < _FLAG_N; i++)
		if (flag_info(i)->letter == letter)
			return i;
	return -1;
}

/* `value` is what was written in the same word, or NULL. */
static void set_flag(struct parser *p, const char *word, int flag, const char *value)
{
	struct args *args = p->args;

	if (flag < 0) {
		parser_complain(p, word, "unknown flag");
		return;
	}
	if (!flag_info(flag)->value) {
		if (value)
			parser_complain(p, word, "this flag takes no value");
		args->set[flag] = true;
		return;
	}
	if (!value && p->at < p->count && p->words[p->at][0] != '-')
		value = p->words[p->at++];
	if (!value || *value == '\0')
		parser_complain(p, word, "a value is missing behind this flag");
	else if (args->set[flag])
		parser_complain(p, word, "this flag was given twice");
	args->set[flag] = true;
	args->value[flag] = value;
}

static void parse_flag(struct parser *p, const char *word)
{
	if (word[1] == '-') {
		size_t n = strcspn(word + 2, "=");

		set_flag(p, word, find_long(word + 2, n),
			 word[2 + n] == '=' ? word + 2 + n + 1 : NULL);
		return;
	}
	set_flag(p, word, find_short(word[1]), word[2] ? word + 2 : NULL);
}

static void split_words(struct parser *p)
{
	bool flags_end = false;

	while (p->at < p->count) {
		const char *word = p->words[p->at++];

		if (!flags_end && str_equal(word, "--"))
			flags_end = true;
		else if (!flags_end && word[0] == '-' && word[1] != '\0')
			parse_flag(p, word);
		else
			p->args->words[p->args->word_count++] = word;
	}
}

/* A verb of which `typed` may be a misspelling; NULL: none is near. */
static const char *nearest_verb(const char *typed)
{
	struct suggest s = { .word = typed };
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++)
		suggest_offer(&s, table[i].name);
	return s.best;
}

/* The same for the first word only: "projct list" is "project list". */
static const char *nearest_noun(const char *typed, const char *second, char **ret_owned)
{
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++) {
		const char *space = strchr(table[i].name, ' ');
		_cleanup_free_ char *noun =
			space ? strndup(table[i].name, (size_t)(space - table[i].name))
			      : NULL;
		struct suggest s = { .word = typed };

		if (!noun)
			continue;
		suggest_offer(&s, noun);
		if (!s.best)
			continue;
		if (!second || str_equal(space + 1, second))
			return table[i].name;
		if (!*ret_owned)
			*ret_owned = TAKE_PTR(noun);
	}
	return *ret_owned;
}

static int refuse_unknown_verb(const char *first, const char *second, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(first, SHOWN_MAX);
	_cleanup_free_ char *both = NULL, *noun = NULL;
	const char *near = NULL;

	if (second && strlen(first) + strlen(second) < SHOWN_MAX)
		both = str_format("%s %s", first, second);
	if (both)
		near = nearest_verb(both);
	if (!near)
		near = nearest_verb(first);
	if (!near)
		near = nearest_noun(first, second, &noun);

	error_user(err, -EINVAL, "COMMAND_NOT_FOUND", "there is no verb '%s'",
		   shown ? shown : "?");
	if (near)
		error_suggest(err, "did you mean: hostkit %s", near);
	else
		error_suggest(err, "see: hostkit help");
	return -EINVAL;
}

/* The first word is a noun, the second none of its verbs or missing. */
static int refuse_noun(const char *first, const char *second, struct error *err)
{
	_cleanup_strbuf_ struct strbuf list = { 0 };
	_cleanup_free_ char *shown = NULL, *both = NULL;
	const char *near = NULL;
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++) {
		const char *rest = str_after_prefix(table[i].name, first);

		if (rest && *rest == ' ')
			strbuf_format(&list, "%s%s", list.size ? "," : "", rest);
	}
	if (!second) {
		error_user(err, -EINVAL, "COMMAND_NOT_FOUND", "'%s' needs one of:%s",
			   first, strbuf_get(&list));
		error_suggest(err, "see: hostkit help %s", first);
		return -EINVAL;
	}

	shown = escape_text(second, SHOWN_MAX);
	if (strlen(second) < SHOWN_MAX)
		both = str_format("%s %s", first, second);
	if (both)
		near = nearest_verb(both);
	error_user(err, -EINVAL, "COMMAND_NOT_FOUND", "'%s' has no '%s', but:%s", first,
		   shown ? shown : "?", strbuf_get(&list));
	if (near)
		error_suggest(err, "did you mean: hostkit %s", near);
	else
		error_suggest(err, "see: hostkit help %s", first);
	return -EINVAL;
}

int args_refuse_verb(const char *const *words, size_t count, struct error *err)
{
	const char *second = count > 1 ? words[1] : NULL;

	if (verb_is_noun(words[0]))
		return refuse_noun(words[0], second, err);
	return refuse_unknown_verb(words[0], second, err);
}

static int find_verb(struct args *args, struct error *err)
{
	size_t used = 0;

	if (args->word_count == 0) {
		if (args->set[FLAG_HELP])
			return 0;
		error_user(err, -EINVAL, "COMMAND_NOT_FOUND", "which verb?");
		error_suggest(err, "see: hostkit help");
		return -EINVAL;
	}
	args->verb = verb_find(args->words, args->word_count, &used);
	if (!args->verb && verb_is_noun(args->words[0])) {
		args->noun = args->words[0];
		if (args->set[FLAG_HELP])
			return 0;
	}
	if (!args->verb)
		return args_refuse_verb(args->words, args->word_count, err);

	args->word_count -= used;
	memmove(args->words, args->words + used,
		args->word_count * sizeof(args->words[0]));
	return 0;
}

static int refuse_flag(const struct parser *p, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(p->bad_word, SHOWN_MAX);
	const struct verb *verb = p->args->verb;
	uint64_t flags = (verb ? verb->flags : 0) | FLAGS_COMMON;
	struct suggest s = { .word = p->bad_word + strspn(p->bad_word, "-") };

	for (int i = 0; i < _FLAG_N; i++)
		if ((flags & FLAG_BIT(i)) && !flag_info(i)->hidden)
			suggest_offer(&s, flag_info(i)->name);
	if (s.best && s.distance > 0)
		return args_refuse(verb, err, "%s: %s (did you mean --%s?)",
				   shown ? shown : "?", p->bad_reason, s.best);
	return args_refuse(verb, err, "%s: %s", shown ? shown : "?", p->bad_reason);
}

static int check_flags(const struct parser *p, struct error *err)
{
	uint64_t allowed = p->args->verb->flags | FLAGS_COMMON;

	if (p->bad_word)
		return refuse_flag(p, err);
	for (int i = 0; i < _FLAG_N; i++)
		if (p->args->set[i] && !(allowed & FLAG_BIT(i)))
			return args_refuse(p->args->verb, err,
					   "--%s is not for this verb",
					   flag_info(i)->name);
	return 0;
}

static int check_words(const struct args *args, struct error *err)
{
	const struct verb *verb = args->verb;

	if (args->word_count < verb->min_words)
		return args_refuse(verb, err, "%s",
				   args->word_count == 0 ? "what is it about?"
							 : "a word is missing");
	if (args->word_count > verb->max_words) {
		_cleanup_free_ char *shown =
			escape_text(args->words[verb->max_words], SHOWN_MAX);

		return args_refuse(verb, err, "'%s' is one word too many",
				   shown ? shown : "?");
	}
	return 0;
}

int args_parse(const char *const *words, size_t count, struct args *ret_args,
	       struct error *err)
{
	struct parser p = { .words = words, .count = count, .args = ret_args };
	int r;

	*ret_args = (struct args){ 0 };
	ret_args->words = calloc(count + 1, sizeof(ret_args->words[0]));
	if (!ret_args->words)
		return error_internal(err, -ENOMEM, "arguments");

	split_words(&p);
	r = find_verb(ret_args, err);
	if (r < 0)
		return r;
	if (ret_args->set[FLAG_HELP])
		return 0;
	r = check_flags(&p, err);
	return r < 0 ? r : check_words(ret_args, err);
}

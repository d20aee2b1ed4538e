/*
 * Command lines of clients. Runs in the sandboxed connection process; what comes out are words that
 * hostkitd and the programs behind it check again.
 */

#include "sshd/exec_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/escape.h"
#include "base/str.h"
#include "base/utf8.h"
#include "protocol/name.h"

/* The longest part of a client's text that is repeated in a message. */
#define EXEC_QUOTE_MAX 80

void exec_line_done(struct exec_line *exec)
{
	for (size_t i = 0; i < exec->word_count; i++)
		free(exec->words[i]);
	free(exec->words);
	free(exec->project);
	*exec = (struct exec_line){ 0 };
}

static int check_bytes(const char *line, size_t size, struct error *err)
{
	const uint8_t *s = (const uint8_t *)line;

	if (size > EXEC_LINE_MAX)
		return error_user(err, -EINVAL, "EXEC_LINE_INVALID",
				  "the command is longer than %u bytes", EXEC_LINE_MAX);

	for (size_t i = 0; i < size;) {
		size_t n = utf8_next(s + i, size - i, NULL);

		if (n == 0)
			return error_user(err, -EINVAL, "EXEC_LINE_INVALID",
					  "the command is not valid UTF-8");
		if ((s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return error_user(err, -EINVAL, "EXEC_LINE_INVALID",
					  "the command contains a control character");
		i += n;
	}
	return 0;
}

struct lexer {
	const char *at;
	const char *end;
};

/*
 * The next word, appended to word. Returns 1, 0 at the end of the line, or -EINVAL for a quote or
 * backslash without its partner. Rules: POSIX, Shell Command Language 2.2, without expansions.
 */
static int lexer_word(struct lexer *lexer, struct strbuf *word)
{
	char quote = '\0';

	while (lexer->at < lexer->end && (*lexer->at == ' ' || *lexer->at == '\t'))
		lexer->at++;
	if (lexer->at == lexer->end)
		return 0;

	for (; lexer->at < lexer->end; lexer->at++) {
		char c = *lexer->at;

		if (c == '\\' && quote != '\'') {
			if (++lexer->at == lexer->end)
				return -EINVAL;
			/* within double quotes only these lose their backslash */
			if (quote == '"' && !strchr("\"\\$`", *lexer->at))
				strbuf_char(word, '\\');
			strbuf_char(word, *lexer->at);
		} else if (quote != '\0' ? c == quote : c == '\'' || c == '"') {
			quote = quote != '\0' ? '\0' : c;
		} else if (quote == '\0' && (c == ' ' || c == '\t')) {
			break;
		} else {
			strbuf_char(word, c);
		}
	}
	return quote != '\0' ? -EINVAL : 1;
}

static int add_word(struct exec_line *exec, struct strbuf *word)
{
	char **words;

	if (exec->word_count % 16 == 0) {
		words = reallocarray(exec->words, exec->word_count + 16, sizeof(*words));
		if (!words)
			return -ENOMEM;
		exec->words = words;
	}
	exec->words[exec->word_count] = strbuf_steal(word);
	if (!exec->words[exec->word_count])
		return -ENOMEM;
	exec->word_count++;
	return 0;
}

static int split_words(const char *line, size_t size, struct exec_line *exec,
		       struct error *err)
{
	struct lexer lexer = { .at = line, .end = line + size };

	for (;;) {
		_cleanup_strbuf_ struct strbuf word = { 0 };
		int r = lexer_word(&lexer, &word);

		if (r == 0)
			return 0;
		if (r < 0)
			return error_user(err, r, "EXEC_LINE_INVALID",
					  "a quote or backslash in the command "
					  "has no partner");
		if (exec->word_count == EXEC_WORDS_MAX)
			return error_user(err, -EINVAL, "EXEC_LINE_INVALID",
					  "the command has more than %u words",
					  EXEC_WORDS_MAX);
		r = add_word(exec, &word);
		if (r < 0)
			return error_internal(err, r, "split the command");
	}
}

/* "/shop", "~/shop", "shop.git", "shop/" are all how people write the project "shop" in a URL. */
static char *project_of_path(const char *path)
{
	const char *rest = str_after_prefix(path, "~/");
	size_t size;

	if (!rest)
		rest = str_after_prefix(path, "/");
	if (!rest)
		rest = path;
	size = strlen(rest);
	if (size > 1 && rest[size - 1] == '/')
		size--;
	if (size > 4 && memcmp(rest + size - 4, ".git", 4) == 0)
		size -= 4;
	return strndup(rest, size);
}

static int parse_git(struct exec_line *exec, enum git_service service, size_t at,
		     struct error *err)
{
	int r;

	if (exec->word_count != at + 1)
		return error_user(err, -EINVAL, "GIT_COMMAND_INVALID",
				  "git must name one project and nothing else");

	exec->project = project_of_path(exec->words[at]);
	if (!exec->project)
		return error_internal(err, -ENOMEM, "name of the project");
	r = name_check_project(exec->project, err);
	if (r < 0)
		return r;
	exec->kind = EXEC_GIT;
	exec->service = service;
	return 0;
}

static int classify(struct exec_line *exec, struct error *err)
{
	static const char *const services[_GIT_SERVICE_N] = {
		[GIT_SERVICE_RECEIVE] = "receive-pack",
		[GIT_SERVICE_UPLOAD] = "upload-pack",
	};
	_cleanup_free_ char *shown = NULL;
	const char *name;
	size_t at = 1;

	exec->kind = EXEC_VERB;
	if (exec->word_count == 0)
		return 0;

	name = str_after_prefix(exec->words[0], "git-");
	if (!name && str_equal(exec->words[0], "git")) {
		name = exec->word_count > 1 ? exec->words[1] : "";
		at = 2;
	}
	if (!name)
		return 0;

	for (unsigned int i = 0; i < _GIT_SERVICE_N; i++)
		if (str_equal(name, services[i]))
			return parse_git(exec, i, at, err);

	shown = escape_text(name, EXEC_QUOTE_MAX);
	return error_user(err, -EINVAL, "GIT_COMMAND_INVALID",
			  "git %s is not offered here, only push, fetch and clone",
			  shown ? shown : "");
}

int exec_line_parse(const char *line, size_t size, struct exec_line *ret_exec,
		    struct error *err)
{
	_cleanup_exec_line_ struct exec_line exec = { 0 };
	int r;

	r = check_bytes(line, size, err);
	if (r < 0)
		return r;
	r = split_words(line, size, &exec, err);
	if (r < 0)
		return r;
	r = classify(&exec, err);
	if (r < 0)
		return r;

	*ret_exec = exec;
	exec = (struct exec_line){ 0 };
	return 0;
}

uint32_t exec_git_protocol(const char *value)
{
	uint32_t best = 0;

	if (strlen(value) > 256)
		return 0;
	for (const char *c = value; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789=.:-_", *c))
			return 0;

	for (const char *entry = value; entry; entry = strchr(entry, ':')) {
		const char *version;

		if (*entry == ':')
			entry++;
		version = str_after_prefix(entry, "version=");
		if (!version || version[0] < '0' || version[0] > '2' ||
		    (version[1] != '\0' && version[1] != ':'))
			continue;
		if ((uint32_t)(version[0] - '0') > best)
			best = (uint32_t)(version[0] - '0');
	}
	return best;
}

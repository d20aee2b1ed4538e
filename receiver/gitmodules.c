/*
 * A reader of git's configuration syntax (git-config(1), "Syntax") that knows as much of it as a
 * .gitmodules file can use, and the rules for what such a file may say.
 */
#include "receiver/gitmodules.h"

#include <ctype.h>
#include <stdint.h>
#include <strings.h>

#include "base/escape.h"
#include "base/str.h"

/* Of a name or value that is complained about. */
#define VALUE_SHOWN_BYTES 200

struct parser {
	const char *at;
	const char *end;
	bool in_submodule;
	struct strbuf name; /* of the submodule */
	struct strbuf key;
	struct strbuf value;
	bool has_value; /* "key" alone is a truth without one */
	gitmodules_report *report;
	void *userdata;
	int flaws;
};

static int peek(const struct parser *p)
{
	return p->at < p->end ? (unsigned char)*p->at : -1;
}

static int next(struct parser *p)
{
	int c = peek(p);

	if (c < 0)
		return c;
	p->at++;
	if (c == '\r' && peek(p) == '\n') {
		p->at++;
		return '\n';
	}
	return c;
}

static void skip_line(struct parser *p)
{
	int c;

	do
		c = next(p);
	while (c >= 0 && c != '\n');
}

static void skip_blanks(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t')
		p->at++;
}

/* Behind '[': a section, perhaps with a quoted subsection. */
static int parse_section(struct parser *p)
{
	_cleanup_strbuf_ struct strbuf section = { 0 };
	int c;

	strbuf_clear(&p->name);
	while ((c = next(p)) >= 0 && (isalnum(c) || c == '-' || c == '.'))
		strbuf_char(&section, (char)c);
	p->in_submodule = strcasecmp(strbuf_get(&section), "submodule") == 0;
	if (c == ']')
		return 0;
	if (c != ' ' && c != '\t')
		return -EBADMSG;
	skip_blanks(p);
	if (next(p) != '"')
		return -EBADMSG;
	while ((c = next(p)) != '"') {
		if (c == '\\')
			c = next(p);
		if (c < 0 || c == '\n')
			return -EBADMSG;
		strbuf_char(&p->name, (char)c);
	}
	return next(p) == ']' ? 0 : -EBADMSG;
}

static int parse_escape(struct parser *p)
{
	int c = next(p);

	switch (c) {
	case '\n':
		return 0;
	case 'n':
		strbuf_char(&p->value, '\n');
		return 0;
	case 't':
		strbuf_char(&p->value, '\t');
		return 0;
	case 'b':
		strbuf_char(&p->value, '\b');
		return 0;
	case '"':
	case '\\':
		strbuf_char(&p->value, (char)c);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Behind '=': up to the end of the line; blanks outside quotes count only between other characters. */
static int parse_value(struct parser *p)
{
	bool quoted = false;
	size_t kept = 0;
	int c, r;

	skip_blanks(p);
	strbuf_clear(&p->value);
	for (;;) {
		c = next(p);
		if (c < 0 || c == '\n')
			break;
		if (!quoted && (c == ';' || c == '#')) {
			skip_line(p);
			break;
		}
		if (c == '"') {
			quoted = !quoted;
			kept = p->value.size;
			continue;
		}
		if (c == '\\') {
			r = parse_escape(p);
			if (r < 0)
				return r;
		} else {
			strbuf_char(&p->value, (char)c);
		}
		if (quoted || (c != ' ' && c != '\t'))
			kept = p->value.size;
	}
	if (quoted)
		return -EBADMSG;
	if (p->value.data && kept < p->value.size) {
		p->value.size = kept;
		p->value.data[kept] = '\0';
	}
	return 0;
}

static int parse_variable(struct parser *p)
{
	int c;

	strbuf_clear(&p->key);
	while (isalnum(c = peek(p)) || c == '-')
		strbuf_char(&p->key, (char)tolower(next(p)));
	if (p->key.size == 0)
		return -EBADMSG;
	skip_blanks(p);
	c = next(p);
	p->has_value = c == '=';
	if (p->has_value)
		return parse_value(p);
	return c < 0 || c == '\n' ? 0 : -EBADMSG;
}

static void flaw(struct parser *p, const char *id, const char *what, const char *value)
{
	_cleanup_free_ char *shown = escape_text(value, VALUE_SHOWN_BYTES);
	_cleanup_free_ char *message =
		str_format("disallowed submodule %s: %s", what, shown ? shown : "?");

	p->report(p->userdata, id, message ? message : what);
	p->flaws++;
}

/* A name becomes a directory below .git/modules. */
static bool name_is_bad(const char *name)
{
	if (*name == '\0')
		return true;
	for (const char *s = name; s; s = strpbrk(s, "/\\")) {
		if (*s == '/' || *s == '\\')
			s++;
		if (s[0] == '.' && s[1] == '.' &&
		    (s[2] == '\0' || s[2] == '/' || s[2] == '\\'))
			return true;
	}
	return false;
}

/* Does %XX or the text itself hold a newline? It would become another line for a credential helper. */
static bool url_has_newline(const char *url)
{
	if (strchr(url, '\n'))
		return true;
	for (; (url = strchr(url, '%')); url++)
		if (url[1] == '0' && (url[2] == 'a' || url[2] == 'A'))
			return true;
	return false;
}

/* "../../:x" climbs out of the parent's URL into another protocol or host. */
static bool url_climbs_out(const char *url)
{
	bool climbed = false;

	for (;;) {
		if (strncmp(url, "./", 2) == 0) {
			url += 2;
		} else if (strncmp(url, "../", 3) == 0) {
			url += 3;
			climbed = true;
		} else {
			break;
		}
	}
	return climbed && (*url == ':' || *url == '/');
}

static bool url_is_bad(const char *url)
{
	static const char *const schemes[] = { "http://", "https://", "ftp://",
					       "ftps://" };

	if (url[0] == '-' || url_has_newline(url) || url_climbs_out(url))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		const char *host = str_after_prefix(url, schemes[i]);

		if (host && strchr("/:?#", *host))
			return true;
	}
	return false;
}

static void check_variable(struct parser *p)
{
	const char *key = strbuf_get(&p->key), *value = strbuf_get(&p->value);

	if (!p->in_submodule || p->name.size == 0)
		return;
	if (name_is_bad(strbuf_get(&p->name)))
		flaw(p, "gitmodulesName", "name", strbuf_get(&p->name));
	if (!p->has_value)
		return;
	if (str_equal(key, "url") && url_is_bad(value))
		flaw(p, "gitmodulesUrl", "url", value);
	if (str_equal(key, "path") && value[0] == '-')
		flaw(p, "gitmodulesPath", "path", value);
	if (str_equal(key, "update") && value[0] == '!')
		flaw(p, "gitmodulesUpdate", "update setting", value);
}

static int parse(struct parser *p)
{
	int r = 0;

	while (r == 0 && peek(p) >= 0) {
		int c = peek(p);

		if (isspace(c)) {
			p->at++;
		} else if (c == '#' || c == ';') {
			skip_line(p);
		} else if (c == '[') {
			p->at++;
			r = parse_section(p);
		} else {
			r = parse_variable(p);
			if (r == 0)
				check_variable(p);
		}
		if (strbuf_failed(&p->name) || strbuf_failed(&p->key) ||
		    strbuf_failed(&p->value))
			return -ENOMEM;
	}
	return r;
}

int gitmodules_check(const void *data, size_t size, gitmodules_report *report,
		     void *userdata)
{
	struct parser p = {
		.at = data,
		.end = (const char *)data + size,
		.report = report,
		.userdata = userdata,
	};
	int r;

	/* a byte order mark is no part of the text */
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		p.at += 3;
	r = parse(&p);
	strbuf_done(&p.name);
	strbuf_done(&p.key);
	strbuf_done(&p.value);
	return p.flaws > 0 || r == 0 ? p.flaws : r;
}

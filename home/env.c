/*
 * .env files: reading, changing, writing. Runs as the project's user in hostkit-home and as `hostkit` in
 * the verbs; what it reads is written by the project, so every byte is foreign.
 */
#include "home/env.h"

#include "base/utf8.h"

#define BLANKS " \t"
#define NEWLINES "\n\r"
#define COMMENTS "#;"
/* What a backslash inside double quotes makes ordinary. */
#define QUOTE_ESCAPABLE "\"\\`$"

struct scanner {
	const char *at;
	const char *end;
	bool unfinished; /* the file ended inside quotes or behind a backslash */
};

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c);
}

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static void entry_done(struct env_entry *entry)
{
	if (entry->raw)
		explicit_bzero(entry->raw, entry->raw_size);
	free(entry->raw);
	free(entry->key);
	secret_free(entry->value);
	*entry = (struct env_entry){ 0 };
}

void env_done(struct env *env)
{
	for (size_t i = 0; i < env->count; i++)
		entry_done(&env->entries[i]);
	free(env->entries);
	*env = (struct env){ 0 };
}

/* Make room for an entry at place `at`, with all behind it moved one further. */
static struct env_entry *env_insert(struct env *env, size_t at)
{
	struct env_entry *entries =
		reallocarray(env->entries, env->count + 1, sizeof(*entries));

	if (!entries)
		return NULL;
	env->entries = entries;
	memmove(entries + at + 1, entries + at, (env->count - at) * sizeof(*entries));
	entries[at] = (struct env_entry){ 0 };
	env->count++;
	return &entries[at];
}

static void env_drop(struct env *env, size_t at)
{
	entry_done(&env->entries[at]);
	env->count--;
	memmove(env->entries + at, env->entries + at + 1,
		(env->count - at) * sizeof(*env->entries));
}

bool env_key_is_valid(const char *key)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
		"0123456789";
	size_t n = strspn(key, letters);

	return n > 0 && n <= ENV_KEY_MAX && key[n] == '\0' &&
	       (key[0] < '0' || key[0] > '9');
}

bool env_key_is_reserved(const char *key)
{
	static const char *const reserved[] = { "PROJECT_NAME", "PORT", "HOST",
						"REDIS_URL" };

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (str_equal(key, reserved[i]))
			return true;
	return false;
}

bool env_key_is_secret(const char *key)
{
	static const char *const words[] = { "password", "secret",     "key",  "token",
					     "private",  "credential", "auth", "passwd" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(key, words[i]))
			return true;
	return false;
}

static void scan_comment(struct scanner *sc)
{
	while (sc->at < sc->end && !is_one_of(*sc->at, NEWLINES))
		sc->at++;
}

/* What is before '=', without the blanks around it; NULL in *ret_key when the line has no '='. */
static int scan_key(struct scanner *sc, char **ret_key)
{
	const char *start = sc->at;
	const char *end;

	do
		sc->at++; /* whatever begins a key is part of it, even a '=' */
	while (sc->at < sc->end && *sc->at != '=' && !is_one_of(*sc->at, NEWLINES));

	if (sc->at == sc->end || *sc->at != '=') {
		*ret_key = NULL;
		return 0;
	}
	end = sc->at++;
	while (end > start + 1 && is_one_of(end[-1], BLANKS))
		end--;
	*ret_key = strndup(start, (size_t)(end - start));
	return *ret_key ? 0 : -ENOMEM;
}

static void scan_single_quoted(struct scanner *sc, struct strbuf *value)
{
	const char *start = sc->at;
	const char *quote = memchr(start, '\'', (size_t)(sc->end - start));

	sc->unfinished = !quote;
	sc->at = quote ? quote + 1 : sc->end;
	strbuf_append(value, start, (size_t)((quote ? quote : sc->end) - start));
}

static void scan_double_quoted(struct scanner *sc, struct strbuf *value)
{
	while (sc->at < sc->end) {
		char c = *sc->at++;

		if (c == '"')
			return;
		if (c != '\\') {
			strbuf_char(value, c);
			continue;
		}
		if (sc->at == sc->end)
			break;
		c = *sc->at++;
		if (c == '\n') /* joins the lines */
			continue;
		if (!is_one_of(c, QUOTE_ESCAPABLE))
			strbuf_char(value, '\\');
		strbuf_char(value, c);
	}
	sc->unfinished = true;
}

/* The rest of the line: quotes mean themselves, blanks at the end do not count. */
static void scan_bare(struct scanner *sc, struct strbuf *value)
{
	size_t solid = value->size; /* up to here there are no blanks to drop */

	while (sc->at < sc->end && !is_one_of(*sc->at, NEWLINES)) {
		char c = *sc->at++;

		if (c != '\\') {
			strbuf_char(value, c);
			if (!is_one_of(c, BLANKS))
				solid = value->size;
			continue;
		}
		if (sc->at == sc->end) {
			sc->unfinished = true;
			return; /* systemd keeps the blanks then */
		}
		c = *sc->at++;
		if (!is_one_of(c, NEWLINES))
			strbuf_char(value, c);
		solid = value->size;
	}
	if (value->data && !strbuf_failed(value)) {
		value->size = solid;
		value->data[solid] = '\0';
	}
}

/* Quoted pieces one after another, with or without blanks between them, and then perhaps a bare one. */
static int scan_value(struct scanner *sc, char **ret_value)
{
	_cleanup_(strbuf_done_secret) struct strbuf value = { 0 };

	while (sc->at < sc->end && !is_one_of(*sc->at, NEWLINES)) {
		if (is_one_of(*sc->at, BLANKS)) {
			sc->at++;
		} else if (*sc->at == '\'') {
			sc->at++;
			scan_single_quoted(sc, &value);
		} else if (*sc->at == '"') {
			sc->at++;
			scan_double_quoted(sc, &value);
		} else {
			scan_bare(sc, &value);
			break;
		}
	}
	*ret_value = strbuf_steal(&value);
	return *ret_value ? 0 : -ENOMEM;
}

static void scan_line_end(struct scanner *sc)
{
	if (sc->at < sc->end && *sc->at == '\r')
		sc->at++;
	if (sc->at < sc->end && *sc->at == '\n')
		sc->at++;
}

/*
 * Does the comment end in a backslash? Up to version 253 systemd goes on with it on the next line,
 * later ones do not; a blank behind it makes them agree.
 */
static bool comment_is_ambiguous(const char *start, const char *end)
{
	size_t backslashes = 0;

	while (end > start && *--end == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

/* What keeps a line as it is must not swallow what is written behind it. */
static int entry_keep_raw(struct env_entry *entry, const char *start,
			  const char *text_end, const struct scanner *sc)
{
	_cleanup_(strbuf_done_secret) struct strbuf raw = { 0 };

	if (entry->key && sc->unfinished)
		return 0; /* written anew, with its quotes closed */

	strbuf_append(&raw, start, (size_t)(text_end - start));
	if (!entry->key && comment_is_ambiguous(start, text_end))
		strbuf_char(&raw, ' ');
	if (sc->at > text_end)
		strbuf_append(&raw, text_end, (size_t)(sc->at - text_end));
	else
		strbuf_char(&raw, '\n');
	entry->raw_size = raw.size;
	entry->raw = strbuf_steal(&raw);
	return entry->raw ? 0 : -ENOMEM;
}

static int scan_entry(struct scanner *sc, struct env_entry *entry)
{
	const char *start = sc->at;
	const char *text_end;
	int r;

	while (sc->at < sc->end && is_one_of(*sc->at, BLANKS))
		sc->at++;
	if (sc->at < sc->end && is_one_of(*sc->at, COMMENTS)) {
		scan_comment(sc);
	} else if (sc->at < sc->end && !is_one_of(*sc->at, NEWLINES)) {
		r = scan_key(sc, &entry->key);
		if (r >= 0 && entry->key)
			r = scan_value(sc, &entry->value);
		if (r < 0)
			return r;
	}

	text_end = sc->at;
	scan_line_end(sc);
	r = entry_keep_raw(entry, start, text_end, sc);
	if (r >= 0 && entry->key && !env_key_is_valid(entry->key) && entry->raw) {
		/* systemd passes over it, and so do we */
		free(TAKE_PTR(entry->key));
		secret_free(TAKE_PTR(entry->value));
	}
	return r;
}

int env_parse(const void *data, size_t size, struct env *ret_env, struct error *err)
{
	_cleanup_env_ struct env env = { 0 };
	struct scanner sc = { .at = data, .end = (const char *)data + size };

	if (size > ENV_FILE_MAX)
		return error_user(err, -EFBIG, "ENV_TOO_LARGE",
				  ".env is larger than %u bytes", ENV_FILE_MAX);
	if (size > 0 && (memchr(data, '\0', size) || !utf8_is_valid(data, size)))
		return error_user(err, -EBADMSG, "ENV_INVALID",
				  ".env has bytes that are not UTF-8 text");

	while (sc.at < sc.end) {
		struct env_entry *entry = env_insert(&env, env.count);

		if (!entry || scan_entry(&sc, entry) < 0)
			return error_internal(err, -ENOMEM, "read .env");
	}
	*ret_env = env;
	env = (struct env){ 0 };
	return 0;
}

static bool entry_has_key(const struct env_entry *entry, const char *key)
{
	return entry->key && str_equal(entry->key, key);
}

const char *env_get(const struct env *env, const char *key)
{
	for (size_t i = env->count; i > 0; i--)
		if (entry_has_key(&env->entries[i - 1], key))
			return env->entries[i - 1].value;
	return NULL;
}

const struct env_entry *env_next(const struct env *env, size_t *at)
{
	while (*at < env->count) {
		const struct env_entry *entry = &env->entries[(*at)++];

		if (entry->key && env_key_is_valid(entry->key) &&
		    env_get(env, entry->key) == entry->value)
			return entry;
	}
	return NULL;
}

static int check_key(const char *key, struct error *err)
{
	if (env_key_is_valid(key))
		return 0;
	error_user(err, -EINVAL, "INVALID_KEY", "that cannot be the name of a variable");
	error_suggest(err, "use letters, digits and underscores, not a digit first");
	return -EINVAL;
}

static int check_value(const char *key, const char *value, struct error *err)
{
	const char *fault = NULL;

	if (strpbrk(value, NEWLINES))
		fault = "has a line break";
	else if (strlen(value) > ENV_VALUE_MAX)
		fault = "is too long";
	else if (!utf8_is_valid(value, strlen(value)))
		fault = "is not UTF-8 text";
	if (!fault)
		return 0;
	return error_user(err, -EINVAL, "INVALID_VALUE", "the value for %s %s", key,
			  fault);
}

int env_set(struct env *env, const char *key, const char *value, struct error *err)
{
	struct env_entry new = { 0 };
	struct env_entry *entry;
	const char *old;
	size_t at = env->count;
	int r;

	r = check_key(key, err);
	if (r >= 0)
		r = check_value(key, value, err);
	if (r < 0)
		return r;
	old = env_get(env, key);
	if (old && str_equal(old, value))
		return 0;

	new.key = strdup(key);
	new.value = strdup(value);
	for (size_t i = env->count; i > 0; i--)
		if (entry_has_key(&env->entries[i - 1], key)) {
			at = i - 1;
			env_drop(env, at);
		}
	entry = new.key &&new.value ? env_insert(env, at) : NULL;
	if (!entry) {
		entry_done(&new);
		return error_internal(err, -ENOMEM, "set a variable");
	}
	*entry = new;
	return 1;
}

int env_unset(struct env *env, const char *key, struct error *err)
{
	int r = check_key(key, err);

	for (size_t i = env->count; r >= 0 && i > 0; i--)
		if (entry_has_key(&env->entries[i - 1], key)) {
			env_drop(env, i - 1);
			r = 1;
		}
	return r;
}

/* Single quotes where they do, as everything else that reads such files takes those literally too. */
static void render_value(const char *value, struct strbuf *buf)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_-+./:,@%=";

	if (value[strspn(value, bare)] == '\0') {
		strbuf_str(buf, value);
	} else if (!strchr(value, '\'')) {
		strbuf_char(buf, '\'');
		strbuf_str(buf, value);
		strbuf_char(buf, '\'');
	} else {
		strbuf_char(buf, '"');
		for (const char *p = value; *p; p++) {
			if (is_one_of(*p, QUOTE_ESCAPABLE))
				strbuf_char(buf, '\\');
			strbuf_char(buf, *p);
		}
		strbuf_char(buf, '"');
	}
}

void env_render(const struct env *env, struct strbuf *buf)
{
	for (size_t i = 0; i < env->count; i++) {
		const struct env_entry *entry = &env->entries[i];

		if (entry->raw) {
			strbuf_append(buf, entry->raw, entry->raw_size);
			continue;
		}
		strbuf_str(buf, entry->key);
		strbuf_char(buf, '=');
		render_value(entry->value, buf);
		strbuf_char(buf, '\n');
	}
}

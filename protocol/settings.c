#include "protocol/settings.h"

#include <arpa/inet.h>
#include <ini.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/str.h"

#define KEY(section, key, type, min, max, preset, doc)                                 \
	{                                                                              \
#section, #key, type, offsetof(struct settings, section##_##key), min, \
			max, preset, doc                                               \
	}
#define KEY_SEC(section, key, min, max, preset, doc)                                \
	{                                                                           \
#section, #key, SETTINGS_SECONDS,                                   \
			offsetof(struct settings, section##_##key##_sec), min, max, \
			preset, doc                                                 \
	}
#define KEY_BYTES(section, key, min, max, preset, doc)                                \
	{                                                                             \
#section, #key, SETTINGS_BYTES,                                       \
			offsetof(struct settings, section##_##key##_bytes), min, max, \
			preset, doc                                                   \
	}

#define MIB (1024ull * 1024)
#define TIB (1024ull * 1024 * MIB)

static const struct settings_key keys[] = {
	KEY(ssh, listen, SETTINGS_LISTEN, 0, 0, "0.0.0.0:2222 [::]:2222",
	    "Where hostkit-sshd listens: addresses with ports, separated by blanks."),
	KEY(ssh, user, SETTINGS_USERS, 0, 0, "hostkit git",
	    "User names a client may log in as; who somebody is only the key decides."),
	KEY_SEC(ssh, login_grace, 1, 600, "30s", "Time a client has to prove its key."),
	KEY(ssh, max_connections, SETTINGS_COUNT, 1, 4096, "256",
	    "SSH connections at a time."),
	KEY(ssh, max_per_source, SETTINGS_COUNT, 1, 4096, "64",
	    "SSH connections at a time from one address."),
	KEY(domain, apex, SETTINGS_HOST, 0, 0, "localhost",
	    "Project P is served as P.APEX."),
	KEY(ports, first, SETTINGS_COUNT, 1024, 65535, "8001",
	    "The first of the ports that projects get."),
	KEY(ports, last, SETTINGS_COUNT, 1024, 65535, "8899", "The last of them."),
	KEY(releases, keep, SETTINGS_COUNT, 2, 1000, "5",
	    "Successful releases kept for a rollback."),
	KEY_BYTES(build, memory, 64 * MIB, TIB, "2G", "Memory a build may use."),
	KEY(build, tasks, SETTINGS_COUNT, 16, 65536, "1024",
	    "Processes and threads a build may have."),
	KEY(build, cpu_weight, SETTINGS_COUNT, 1, 10000, "50",
	    "Share of the processor a build gets next to the running projects (100 each)."),
	KEY_SEC(build, timeout, 10, 86400, "20min", "Time a build may take."),
	KEY(build, parallel, SETTINGS_COUNT, 1, 64, "2",
	    "Deployments at a time; others wait."),
	KEY_BYTES(build, output, 65536, 1024 * MIB, "8M",
		  "Output of a build that is kept; the rest is counted only."),
	KEY_SEC(deploy, health_timeout, 1, 3600, "120s",
		"Time a new release has to answer."),
	KEY(limits, pack_bytes, SETTINGS_BYTES, MIB, TIB, "2G", "Size of one push."),
	KEY(limits, tree_files, SETTINGS_COUNT, 1, 100000000, "200000",
	    "Files of one commit."),
};

const struct settings_key *settings_keys(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(keys);
	return keys;
}

struct settings *settings_free(struct settings *settings)
{
	if (!settings)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].type < SETTINGS_COUNT)
			free(*(char **)(void *)((char *)settings + keys[i].offset));
	free(settings);
	return NULL;
}

static int parse_address(const char *text, struct settings_address *ret)
{
	_cleanup_free_ char *host = NULL;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->address;
	struct sockaddr_in *in4 = (struct sockaddr_in *)&ret->address;
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || str_to_u64(colon + 1, 65535, &port) < 0 || port == 0)
		return -EINVAL;

	*ret = (struct settings_address){ 0 };
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		host = strndup(text + 1, (size_t)(colon - text) - 2);
		if (!host)
			return -ENOMEM;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		ret->size = sizeof(*in6);
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	host = strndup(text, (size_t)(colon - text));
	if (!host)
		return -ENOMEM;
	in4->sin_family = AF_INET;
	in4->sin_port = htons((uint16_t)port);
	ret->size = sizeof(*in4);
	return inet_pton(AF_INET, host, &in4->sin_addr) == 1 ? 0 : -EINVAL;
}

int settings_addresses(const char *text, struct settings_address ret_addresses[])
{
	_cleanup_free_ char *copy = strdup(text);
	char *save = NULL;
	int count = 0;

	if (!copy)
		return -ENOMEM;
	for (char *word = strtok_r(copy, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		int r;

		if (count == SETTINGS_LISTEN_MAX)
			return -EINVAL;
		r = parse_address(word, &ret_addresses[count]);
		if (r < 0)
			return r;
		count++;
	}
	return count > 0 ? count : -EINVAL;
}

static bool is_host(const char *s)
{
	size_t label = 0, n = strlen(s);

	if (n == 0 || n > 200)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '.') {
			if (label == 0 || s[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !(c == '-' && label > 0))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0 && s[n - 1] != '-';
}

static bool is_user_list(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- \t";

	return *s && strspn(s, allowed) == strlen(s);
}

static const char *text_fault(enum settings_type type, const char *value)
{
	struct settings_address addresses[SETTINGS_LISTEN_MAX];

	if (type == SETTINGS_LISTEN && settings_addresses(value, addresses) < 0)
		return "write addresses with ports, such as 0.0.0.0:2222 [::]:2222";
	if (type == SETTINGS_USERS && !is_user_list(value))
		return "write user names separated by blanks";
	if (type == SETTINGS_HOST && !is_host(value))
		return "write a host name in lower case, such as example.org";
	if (!*value)
		return "it must not be empty";
	return NULL;
}

struct unit_suffix {
	const char *suffix;
	uint64_t factor;
};

static const struct unit_suffix second_suffixes[] = {
	{ "", 1 }, { "s", 1 }, { "min", 60 }, { "h", 3600 }, { NULL, 0 },
};
static const struct unit_suffix byte_suffixes[] = {
	{ "", 1 },           { "K", 1024 }, { "M", MIB },
	{ "G", 1024 * MIB }, { "T", TIB },  { NULL, 0 },
};
static const struct unit_suffix count_suffixes[] = { { "", 1 }, { NULL, 0 } };

static int parse_number(enum settings_type type, const char *value, uint64_t *ret)
{
	const struct unit_suffix *s = type == SETTINGS_SECONDS ? second_suffixes
				      : type == SETTINGS_BYTES ? byte_suffixes
							       : count_suffixes;
	size_t digits = strspn(value, "0123456789");
	_cleanup_free_ char *number = strndup(value, digits);
	uint64_t n;

	if (!number)
		return -ENOMEM;
	if (str_to_u64(number, UINT64_MAX, &n) < 0)
		return -EINVAL;
	for (; s->suffix; s++) {
		if (!str_equal(value + digits, s->suffix))
			continue;
		return __builtin_mul_overflow(n, s->factor, ret) ? -ERANGE : 0;
	}
	return -EINVAL;
}

static const char *number_shape(enum settings_type type)
{
	if (type == SETTINGS_SECONDS)
		return "a time such as 90s, 5min or 1h";
	if (type == SETTINGS_BYTES)
		return "a size such as 500M or 2G";
	return "a number";
}

/* Put value into settings; what is wrong with it, owned, or NULL. */
static char *key_assign(struct settings *settings, const struct settings_key *key,
			const char *value)
{
	void *member = (char *)settings + key->offset;
	uint64_t n;

	if (key->type < SETTINGS_COUNT) {
		const char *fault = text_fault(key->type, value);

		if (fault)
			return str_format("%s", fault);
		free(*(char **)member);
		*(char **)member = strdup(value);
		return *(char **)member ? NULL : str_format("no memory");
	}

	if (parse_number(key->type, value, &n) < 0)
		return str_format("write %s", number_shape(key->type));
	if (n < key->min || n > key->max)
		return str_format("it must be from %llu to %llu%s",
				  (unsigned long long)key->min,
				  (unsigned long long)key->max,
				  key->type == SETTINGS_SECONDS ? " seconds"
				  : key->type == SETTINGS_BYTES ? " bytes"
								: "");
	if (key->type == SETTINGS_BYTES)
		*(uint64_t *)member = n;
	else
		*(uint32_t *)member = (uint32_t)n;
	return NULL;
}

struct parse {
	FILE *stream;
	const char *name;
	unsigned int line;
	struct settings *settings;
	unsigned int seen[ARRAY_SIZE(keys)]; /* line, 0: not yet */
	struct error *err;
	int result;
};

/* inih tells its handler no line numbers, so count what it reads. */
static char *parse_line(char *buffer, int size, void *userdata)
{
	struct parse *parse = userdata;
	char *line = fgets(buffer, size, parse->stream);

	if (line)
		parse->line++;
	return line;
}

static const struct settings_key *key_find(const char *section, const char *name,
					   bool *ret_section_known)
{
	*ret_section_known = false;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!str_equal(keys[i].section, section))
			continue;
		*ret_section_known = true;
		if (str_equal(keys[i].key, name))
			return &keys[i];
	}
	return NULL;
}

static char *known_words(const char *section)
{
	_cleanup_strbuf_ struct strbuf list = { 0 };
	const char *last = "";

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (section && !str_equal(keys[i].section, section))
			continue;
		if (!section && str_equal(keys[i].section, last))
			continue;
		last = keys[i].section;
		strbuf_format(&list, section ? "%s%s" : "%s[%s]", list.size ? ", " : "",
			      section ? keys[i].key : keys[i].section);
	}
	return strbuf_steal(&list);
}

static int parse_unknown(struct parse *parse, const char *section, const char *name,
			 bool section_known)
{
	_cleanup_free_ char *known = known_words(section_known ? section : NULL);
	_cleanup_free_ char *shown = escape_text(section_known ? name : section, 64);

	if (section_known)
		error_user(parse->err, -EINVAL, "CONFIG_INVALID",
			   "%s:%u: [%s] has no key '%s'; it has %s", parse->name,
			   parse->line, section, shown ? shown : "?", known ? known : "");
	else if (!*section)
		error_user(parse->err, -EINVAL, "CONFIG_INVALID",
			   "%s:%u: a key before the first section; sections are %s",
			   parse->name, parse->line, known ? known : "");
	else
		error_user(parse->err, -EINVAL, "CONFIG_INVALID",
			   "%s:%u: unknown section [%s]; sections are %s", parse->name,
			   parse->line, shown ? shown : "?", known ? known : "");
	return -EINVAL;
}

static int parse_entry(struct parse *parse, const char *section, const char *name,
		       const char *value)
{
	_cleanup_free_ char *fault = NULL, *shown = NULL;
	bool section_known;
	const struct settings_key *key = key_find(section, name, &section_known);
	size_t i;

	if (!key)
		return parse_unknown(parse, section, name, section_known);
	i = (size_t)(key - keys);
	if (parse->seen[i])
		return error_user(parse->err, -EINVAL, "CONFIG_INVALID",
				  "%s:%u: [%s] %s was set in line %u already",
				  parse->name, parse->line, section, name,
				  parse->seen[i]);
	parse->seen[i] = parse->line;

	fault = key_assign(parse->settings, key, value);
	if (!fault)
		return 0;
	shown = escape_text(value, 64);
	return error_user(parse->err, -EINVAL, "CONFIG_INVALID",
			  "%s:%u: [%s] %s = %s: %s", parse->name, parse->line, section,
			  name, shown ? shown : "?", fault);
}

static int parse_handler(void *userdata, const char *section, const char *name,
			 const char *value)
{
	struct parse *parse = userdata;

	if (parse->result >= 0)
		parse->result = parse_entry(parse, section, name, value);
	return parse->result >= 0;
}

static int settings_preset(struct settings **ret)
{
	_cleanup_(settings_freep) struct settings *settings =
		calloc(1, sizeof(*settings));

	if (!settings)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_free_ char *fault =
			key_assign(settings, &keys[i], keys[i].preset);

		if (fault)
			return -EINVAL;
	}
	*ret = TAKE_PTR(settings);
	return 0;
}

int settings_read(FILE *stream, const char *name, struct settings **ret_settings,
		  struct error *err)
{
	_cleanup_(settings_freep) struct settings *settings = NULL;
	struct parse parse = { .stream = stream, .name = name, .err = err };
	int r = settings_preset(&settings);

	if (r < 0)
		return error_internal(err, r, "default settings");
	parse.settings = settings;

	r = ini_parse_stream(parse_line, &parse, parse_handler, &parse);
	if (parse.result < 0)
		return parse.result;
	if (ferror(stream))
		return error_user(err, -EIO, "CONFIG_INVALID", "%s: cannot be read",
				  name);
	if (r != 0)
		return error_user(err, -EINVAL, "CONFIG_INVALID",
				  "%s:%d: neither a [section] nor 'key = value'", name,
				  r);
	if (settings->ports_first > settings->ports_last)
		return error_user(err, -EINVAL, "CONFIG_INVALID",
				  "%s: [ports] first = %u is above last = %u", name,
				  settings->ports_first, settings->ports_last);

	*ret_settings = TAKE_PTR(settings);
	return 0;
}

static void file_closep(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* only read from */
}

int settings_load(const char *path, struct settings **ret_settings, struct error *err)
{
	_cleanup_(file_closep) FILE *stream = NULL;
	bool optional = !path;

	if (!path)
		path = SETTINGS_PATH;
	stream = fopen(path, "re");
	if (!stream && errno == ENOENT && optional)
		stream = fopen("/dev/null", "re");
	if (!stream) {
		int r = -errno;

		return error_user(err, r, "CONFIG_INVALID", "%s: %s", path, strerror(-r));
	}
	return settings_read(stream, path, ret_settings, err);
}

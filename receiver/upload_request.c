/*
 * The client's side of a fetch, parsed. The words of complaint are git's, because scripts and people look
 * for them.
 */
#include "receiver/upload_request.h"

#include <git2/errors.h>

#include "base/escape.h"
#include "base/str.h"

static int protocol_error(struct error *err, const char *text, const char *line)
{
	_cleanup_free_ char *shown = escape_text(line, 200);

	return error_user(err, -EPROTO, "GIT_PROTOCOL", "%s'%s'", text,
			  shown ? shown : "?");
}

int upload_add_oid(struct oid_list *list, const git_oid *oid, struct error *err)
{
	if (list->count >= UPLOAD_OIDS_MAX)
		return error_user(err, -E2BIG, "GIT_PROTOCOL", "too many object names");
	return oid_list_add(list, oid);
}

static void word_list_done(struct word_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->words[i]);
	free(list->words);
	*list = (struct word_list){ 0 };
}

int word_list_add(struct word_list *list, const char *word)
{
	if (list->count >= UPLOAD_WORDS_MAX)
		return -E2BIG;
	if (list->count == list->allocated) {
		size_t want = list->allocated ? list->allocated * 2 : 16;
		char **grown = reallocarray(list->words, want, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->words = grown;
		list->allocated = want;
	}
	list->words[list->count] = strdup(word);
	if (!list->words[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

void upload_request_done(struct upload_request *request)
{
	oid_list_done(&request->wants);
	oid_list_done(&request->haves);
	oid_list_done(&request->shallows);
	word_list_done(&request->not_refs);
	*request = (struct upload_request){ 0 };
}

const char *upload_parse_oid(const char *s, git_oid *ret_oid)
{
	if (strnlen(s, GIT_OID_HEXSZ) < GIT_OID_HEXSZ || git_oid_fromstr(ret_oid, s) < 0)
		return NULL;
	return s + GIT_OID_HEXSZ;
}

/* An object name and nothing more, into list. */
static int add_oid(struct oid_list *list, const char *value, const char *complaint,
		   const char *line, struct error *err)
{
	git_oid oid;
	const char *rest = upload_parse_oid(value, &oid);

	if (!rest || *rest != '\0')
		return protocol_error(err, complaint, line);
	return upload_add_oid(list, &oid, err);
}

static int parse_shallow(struct upload_request *request, const char *value,
			 const char *line, struct error *err)
{
	return add_oid(&request->shallows, value, "invalid shallow line: ", line, err);
}

static int parse_deepen(struct upload_request *request, const char *value,
			const char *line, struct error *err)
{
	uint64_t depth;

	if (str_to_u64(value, INT32_MAX, &depth) < 0 || depth == 0)
		return protocol_error(err, "Invalid deepen: ", line);
	request->depth = (uint32_t)depth;
	return 0;
}

static int parse_since(struct upload_request *request, const char *value,
		       const char *line, struct error *err)
{
	uint64_t since;

	if (str_to_u64(value, INT64_MAX, &since) < 0 || since == 0)
		return protocol_error(err, "Invalid deepen-since: ", line);
	request->since = (int64_t)since;
	return 0;
}

static int parse_not(struct upload_request *request, const char *value, const char *line,
		     struct error *err)
{
	int r;

	(void)line; /* whether there is such a ref is seen later */
	r = word_list_add(&request->not_refs, value);
	if (r == -E2BIG)
		return error_user(err, r, "GIT_PROTOCOL", "too many deepen-not");
	return r;
}

/* Lines that all versions have. Returns 1 when it was one, 0 when not, or a negative errno value. */
static int parse_shallow_lines(struct upload_request *request, const char *line,
			       struct error *err)
{
	static const struct {
		const char *prefix;
		int (*parse)(struct upload_request *request, const char *value,
			     const char *line, struct error *err);
	} lines[] = {
		{ "shallow ", parse_shallow },
		{ "deepen ", parse_deepen },
		{ "deepen-since ", parse_since },
		{ "deepen-not ", parse_not },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *value = str_after_prefix(line, lines[i].prefix);
		int r;

		if (!value)
			continue;
		r = lines[i].parse(request, value, line, err);
		return r < 0 ? r : 1;
	}
	return 0;
}

/* Is `word` among the words of list? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		size_t size;

		list += strspn(list, " \t\n");
		size = strcspn(list, " \t\n");
		if (size == n && memcmp(list, word, n) == 0)
			return true;
		list += size;
	}
	return false;
}

static void parse_features(struct upload_request *request, const char *list)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {
		{ "deepen-relative", &request->depth_relative },
		{ "no-done", &request->no_done },
		{ "thin-pack", &request->thin },
		{ "ofs-delta", &request->ofs_delta },
		{ "no-progress", &request->no_progress },
		{ "include-tag", &request->include_tag },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (has_word(list, flags[i].word))
			*flags[i].flag = true;
	if (has_word(list, "multi_ack_detailed"))
		request->multi_ack = UPLOAD_ACK_DETAILED;
	else if (has_word(list, "multi_ack"))
		request->multi_ack = UPLOAD_ACK_MULTI;
	if (has_word(list, "side-band-64k"))
		request->band_max = PKTLINE_MAX;
	else if (has_word(list, "side-band") && request->band_max == 0)
		request->band_max = 1000; /* gitprotocol-capabilities(5) */
}

int upload_request_line_v0(struct upload_request *request, const char *line,
			   struct error *err)
{
	const char *value, *features = NULL;
	git_oid oid;
	int r = parse_shallow_lines(request, line, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (str_after_prefix(line, "filter "))
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "git upload-pack: filtering capability not negotiated");

	value = str_after_prefix(line, "want ");
	if (value)
		features = upload_parse_oid(value, &oid);
	if (!features)
		return protocol_error(err,
				      "git upload-pack: protocol error, expected to get "
				      "object ID, not ",
				      line);
	parse_features(request, features);
	return upload_add_oid(&request->wants, &oid, err);
}

/* Words without a value in version 2. */
static bool parse_flag_v2(struct upload_request *request, const char *line)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {
		{ "thin-pack", &request->thin },
		{ "ofs-delta", &request->ofs_delta },
		{ "no-progress", &request->no_progress },
		{ "include-tag", &request->include_tag },
		{ "done", &request->done },
		{ "wait-for-done", &request->wait_for_done },
		{ "deepen-relative", &request->depth_relative },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!str_equal(line, flags[i].word))
			continue;
		*flags[i].flag = true;
		return true;
	}
	return false;
}

int upload_request_line_v2(struct upload_request *request, const char *line,
			   struct error *err)
{
	const char *value;
	int r;

	value = str_after_prefix(line, "want ");
	if (value)
		return add_oid(&request->wants, value,
			       "git upload-pack: protocol error, expected to get oid, "
			       "not ",
			       line, err);
	value = str_after_prefix(line, "have ");
	if (value)
		return add_oid(&request->haves, value,
			       "git upload-pack: expected SHA1 object, got ", value, err);
	if (parse_flag_v2(request, line))
		return 0;
	r = parse_shallow_lines(request, line, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return protocol_error(err, "unexpected line: ", line);
}

void upload_ls_refs_done(struct upload_ls_refs *ls)
{
	word_list_done(&ls->prefixes);
	*ls = (struct upload_ls_refs){ 0 };
}

int upload_ls_refs_line(struct upload_ls_refs *ls, const char *line, struct error *err)
{
	const char *prefix = str_after_prefix(line, "ref-prefix ");

	if (str_equal(line, "peel"))
		ls->peel = true;
	else if (str_equal(line, "symrefs"))
		ls->symrefs = true;
	else if (str_equal(line, "unborn"))
		ls->unborn = true;
	else if (!prefix)
		return protocol_error(err, "unexpected line: ", line);
	else if (ls->prefixes.count >= UPLOAD_WORDS_MAX)
		ls->everything = true;
	else
		return word_list_add(&ls->prefixes, prefix);
	return 0;
}

static int parse_command(const char *name, enum upload_command *command,
			 struct error *err)
{
	static const char *const names[] = {
		[UPLOAD_COMMAND_LS_REFS] = "ls-refs",
		[UPLOAD_COMMAND_FETCH] = "fetch",
		[UPLOAD_COMMAND_OBJECT_INFO] = "object-info",
	};

	if (*command != UPLOAD_COMMAND_NONE)
		return protocol_error(err, "another command was requested already, now ",
				      name);
	for (size_t i = UPLOAD_COMMAND_LS_REFS; i < ARRAY_SIZE(names); i++)
		if (str_equal(name, names[i])) {
			*command = (enum upload_command)i;
			return 0;
		}
	return protocol_error(err, "invalid command ", name);
}

static int parse_capability(const char *line, struct error *err)
{
	const char *format = str_after_prefix(line, "object-format=");

	if (format && !str_equal(format, "sha1"))
		return protocol_error(err,
				      "mismatched object format: server sha1; client ",
				      format);
	if (format || str_after_prefix(line, "agent=") ||
	    str_after_prefix(line, "server-option="))
		return 0;
	return protocol_error(err, "unknown capability ", line);
}

int upload_command_read(struct pktline_reader *reader, enum upload_command *ret_command,
			bool *ret_arguments, struct error *err)
{
	enum upload_command command = UPLOAD_COMMAND_NONE;
	bool seen = false;

	for (;;) {
		const char *line, *name;
		size_t size;
		int r = pktline_read_chomped(reader, &line, &size, err);

		if (r < 0)
			return r;
		if ((r == PKTLINE_E_EOF || r == PKTLINE_E_FLUSH) && !seen) {
			*ret_command = UPLOAD_COMMAND_NONE;
			return 0;
		}
		if (r == PKTLINE_E_EOF)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "the remote end hung up unexpectedly");
		if (r == PKTLINE_E_END)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "unexpected response end packet");
		if (r != PKTLINE_E_DATA) {
			if (command == UPLOAD_COMMAND_NONE)
				return error_user(err, -EPROTO, "GIT_PROTOCOL",
						  "no command requested");
			*ret_command = command;
			*ret_arguments = r == PKTLINE_E_DELIM;
			return 0;
		}

		seen = true;
		name = str_after_prefix(line, "command=");
		r = name ? parse_command(name, &command, err)
			 : parse_capability(line, err);
		if (r < 0)
			return r;
	}
}

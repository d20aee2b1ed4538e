#include "receiver/push.h"

#include "base/str.h"

void push_done(struct push *push)
{
	for (size_t i = 0; i < push->count; i++) {
		free(push->commands[i].ref);
		free(push->commands[i].refused);
	}
	for (size_t i = 0; i < push->option_count; i++)
		free(push->options[i]);
	free(push->commands);
	free(push->options);
	free(push->shallow);
	*push = (struct push){ 0 };
}

/* Is the word in a list separated by blanks? "word=value" counts as "word=". */
static const char *find_capability(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n) {
		bool begins = p == list || p[-1] == ' ';

		if (begins &&
		    (word[n - 1] == '=' || p[n] == '\0' || p[n] == ' ' || p[n] == '\n'))
			return p + n;
	}
	return NULL;
}

static int parse_capabilities(struct push *push, const char *list, struct error *err)
{
	const char *format = find_capability(list, "object-format=");

	push->report_status = push->report_status ||
			      find_capability(list, "report-status") ||
			      find_capability(list, "report-status-v2");
	push->side_band = push->side_band || find_capability(list, "side-band-64k");
	push->quiet = push->quiet || find_capability(list, "quiet");
	push->atomic = push->atomic || find_capability(list, "atomic");
	push->push_options = push->push_options || find_capability(list, "push-options");
	if (format && strncmp(format, "sha1", strcspn(format, " \n")) != 0)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "error: unsupported object format");
	return 0;
}

static int add_shallow(struct push *push, const char *hex, size_t size, struct error *err)
{
	git_oid oid;

	if (size != GIT_OID_HEXSZ || git_oid_fromstrn(&oid, hex, GIT_OID_HEXSZ) < 0)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "protocol error: expected shallow sha, got '%.100s'",
				  hex);
	if (push->shallow_count >= PUSH_SHALLOW_MAX)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "more than %d shallow commits in one push",
				  PUSH_SHALLOW_MAX);
	if (push->shallow_count == push->shallow_allocated) {
		size_t n = push->shallow_allocated ? push->shallow_allocated * 2 : 16;
		git_oid *list = reallocarray(push->shallow, n, sizeof(*list));

		if (!list)
			return -ENOMEM;
		push->shallow = list;
		push->shallow_allocated = n;
	}
	push->shallow[push->shallow_count++] = oid;
	return 0;
}

static int add_command(struct push *push, const struct push_command *command)
{
	if (push->count == push->allocated) {
		size_t n = push->allocated ? push->allocated * 2 : 16;
		struct push_command *list =
			reallocarray(push->commands, n, sizeof(*list));

		if (!list)
			return -ENOMEM;
		push->commands = list;
		push->allocated = n;
	}
	push->commands[push->count++] = *command;
	return 0;
}

static int bad_command(const char *line, struct error *err)
{
	return error_user(err, -EPROTO, "GIT_PROTOCOL",
			  "protocol error: expected old/new/ref, got '%.200s'", line);
}

int push_add_line(struct push *push, const char *line, size_t size, struct error *err)
{
	struct push_command command = { 0 };
	const char *nul = memchr(line, '\0', size);
	size_t line_size = nul ? (size_t)(nul - line) : size;
	int r;

	if (line_size >= 8 && memcmp(line, "shallow ", 8) == 0)
		return add_shallow(push, line + 8, line_size - 8, err);

	if (line_size < 2 * GIT_OID_HEXSZ + 3 || line[GIT_OID_HEXSZ] != ' ' ||
	    line[2 * GIT_OID_HEXSZ + 1] != ' ' ||
	    git_oid_fromstrn(&command.old_oid, line, GIT_OID_HEXSZ) < 0 ||
	    git_oid_fromstrn(&command.new_oid, line + GIT_OID_HEXSZ + 1, GIT_OID_HEXSZ) <
		    0)
		return bad_command(line, err);
	if (push->count >= PUSH_COMMANDS_MAX)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "more than %d refs in one push", PUSH_COMMANDS_MAX);
	command.ref =
		strndup(line + 2 * GIT_OID_HEXSZ + 2, line_size - 2 * GIT_OID_HEXSZ - 2);
	if (!command.ref)
		return -ENOMEM;
	r = add_command(push, &command);
	if (r < 0) {
		free(command.ref);
		return r;
	}
	return nul ? parse_capabilities(push, nul + 1, err) : 0;
}

static int read_options(struct push *push, struct pktline_reader *in, struct error *err)
{
	const char *line = NULL;
	size_t size = 0;
	int r;

	for (;;) {
		char **list;

		r = pktline_read_chomped(in, &line, &size, err);
		if (r < 0)
			return r;
		if (r != PKTLINE_E_DATA)
			return 0;
		if (push->option_count >= PUSH_OPTIONS_MAX)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "more than %d push options", PUSH_OPTIONS_MAX);
		list = reallocarray(push->options, push->option_count + 1, sizeof(*list));
		if (!list)
			return -ENOMEM;
		push->options = list;
		list[push->option_count] = strndup(line, size);
		if (!list[push->option_count])
			return -ENOMEM;
		push->option_count++;
	}
}

int push_read(struct push *push, struct pktline_reader *in, bool options_offered,
	      struct error *err)
{
	const char *line = NULL;
	size_t size = 0;
	int r;

	for (;;) {
		r = pktline_read_chomped(in, &line, &size, err);
		if (r < 0)
			return r;
		if (r == PKTLINE_E_EOF)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "the remote end hung up unexpectedly");
		if (r != PKTLINE_E_DATA)
			break;
		r = push_add_line(push, line, size, err);
		if (r < 0)
			return r;
	}
	push->push_options = push->push_options && options_offered;
	return push->count > 0 && push->push_options ? read_options(push, in, err) : 0;
}

bool push_has_pack(const struct push *push)
{
	for (size_t i = 0; i < push->count; i++)
		if (!push_is_deletion(&push->commands[i]))
			return true;
	return false;
}

void push_refuse(struct push_command *command, const char *reason)
{
	if (command->refused)
		return;
	command->refused = strdup(reason);
	if (!command->refused)
		abort(); /* not to go on with what must not be done */
}

void push_refuse_rest(struct push *push, const char *reason)
{
	for (size_t i = 0; i < push->count; i++)
		push_refuse(&push->commands[i], reason);
}

bool push_all_refused(const struct push *push)
{
	for (size_t i = 0; i < push->count; i++)
		if (!push->commands[i].refused)
			return false;
	return true;
}

void push_spread_refusal(struct push *push, const char *reason)
{
	for (size_t i = 0; push->atomic && i < push->count; i++) {
		if (push->commands[i].refused) {
			push_refuse_rest(push, reason);
			return;
		}
	}
}

#pragma once

/*
 * What a client asks for in an "exec" request (RFC 4254 6.5): a line of text, taken apart here the way a
 * POSIX shell splits words, but without a shell: quotes and backslashes count, nothing is expanded.
 */

#include "base/error.h"
#include "protocol/request.h"

#define EXEC_LINE_MAX 16384u /* bytes of a line */
#define EXEC_WORDS_MAX 512u  /* words of a line */

enum exec_kind {
	EXEC_VERB, /* words, none for an interactive session */
	EXEC_GIT,  /* service and project */
	_EXEC_KIND_N,
};

struct exec_line {
	enum exec_kind kind;
	enum git_service service;
	char *project; /* its shape checked, whether it exists is not */
	char **words;
	size_t word_count;
};

void exec_line_done(struct exec_line *exec);
#define _cleanup_exec_line_ _cleanup_(exec_line_done)

/*
 * Take `size` bytes at line apart. Returns 0 with *ret_exec to be released with exec_line_done(), or
 * -EINVAL with EXEC_LINE_INVALID (bytes, quoting, limits), GIT_COMMAND_INVALID (not what git clients send
 * for a project here) or INVALID_PROJECT_NAME; or -ENOMEM.
 */
int exec_line_parse(const char *line, size_t size, struct exec_line *ret_exec,
		    struct error *err) _must_check_;

/*
 * The protocol version that a GIT_PROTOCOL value asks for: the highest of its "version=N" entries that git
 * knows (0 to 2), separated by colons, other entries ignored. 0 for a value that is not well-formed.
 */
uint32_t exec_git_protocol(const char *value);

#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "protocol/name.h"
#include "sshd/exec_line.h"

/* What passes has words without control characters, and a project only in a shape that is a name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_exec_line_ struct exec_line exec = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_free_ char *text = strndup((const char *)data, size);
	int r = exec_line_parse((const char *)data, size, &exec, &err);

	if (r < 0) {
		assert(r == -ENOMEM || (err.code && !strchr(err.message, '\n')));
		assert(!exec.words && !exec.project);
	} else {
		assert(exec.word_count <= EXEC_WORDS_MAX && size <= EXEC_LINE_MAX);
		assert(!memchr(data, '\0', size) && !memchr(data, '\n', size));
		assert((exec.kind == EXEC_GIT) == (exec.project != NULL));
		if (exec.project)
			assert(name_check_project(exec.project, NULL) == 0);
		for (size_t i = 0; i < exec.word_count; i++)
			assert(!strpbrk(exec.words[i], "\n\r\033"));
	}
	if (text)
		assert(exec_git_protocol(text) <= 2);
	return 0;
}

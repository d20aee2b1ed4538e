#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "receiver/push.h"
#include "receiver/refname.h"

/* Lines of a command list, separated by newlines. What was taken in has whole fields. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_push_ struct push push = { 0 };
	_cleanup_free_ char *text = calloc(1, size + 1);
	char *line = text, *end;

	if (!text)
		return 0;
	memcpy(text, data, size);
	for (; line < text + size; line = end + 1) {
		_cleanup_error_ struct error err = ERROR_INIT;
		size_t count = push.count;

		end = memchr(line, '\n', (size_t)(text + size - line));
		if (!end)
			end = text + size;
		*end = '\0';
		if (push_add_line(&push, line, (size_t)(end - line), &err) < 0)
			break;
		if (push.count > count)
			(void)refname_is_valid(push.commands[count].ref, true);
	}
	for (size_t i = 0; i < push.count; i++)
		assert(push.commands[i].ref[0] != '\0');
	return 0;
}

#include "builder/say.h"

#include "base/io.h"
#include "base/str.h"

static _printf_(3, 0) void say(int fd, const char *prefix, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = str_vformat(fmt, ap);
	_cleanup_free_ char *line = text ? str_format("%s%s\n", prefix, text) : NULL;

	if (line)
		(void)io_write_all(fd, line, strlen(line)); /* nobody left to tell */
}

void say_step(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(STDOUT_FILENO, "-----> ", fmt, ap);
	va_end(ap);
}

void say_detail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(STDOUT_FILENO, "       ", fmt, ap);
	va_end(ap);
}

void say_trouble(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(STDERR_FILENO, " !     ", fmt, ap);
	va_end(ap);
}

static void say_lines(const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		say_trouble("%.*s", n, text);
		text += n;
		text += *text == '\n';
	}
}

void say_error(const struct error *err)
{
	/* the project's own user reads this: there is nothing to hide from it */
	say_lines(error_text(err, true));
	if (err->suggestion)
		say_lines(err->suggestion);
}

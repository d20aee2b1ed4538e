#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>

#include "base/str.h"

#if ADDRESS_SANITIZER
/* In a sandbox that forbids ptrace(2) the search for leaks never ends; the tests ask for it where it can be. */
const char *__asan_default_options(void); /* NOLINT(bugprone-reserved-identifier) */
const char *__asan_default_options(void)  /* NOLINT(bugprone-reserved-identifier) */
{
	return "detect_leaks=0";
}
#endif

static struct {
	const char *program;
	int max_priority;
	bool journal;
} log_settings = { .program = "hostkit", .max_priority = LOG_INFO };

void log_setup(const char *program, int max_priority)
{
	log_settings.program = program;
	log_settings.max_priority = max_priority;
	log_settings.journal = getenv("JOURNAL_STREAM") != NULL;
}

static void log_line(int priority, const char *text)
{
	_cleanup_free_ char *line = NULL;
	int saved = errno;

	if (log_settings.journal)
		line = str_format("<%d>%s\n", priority, text);
	else
		line = str_format("%s: %s\n", log_settings.program, text);
	if (line)
		(void)!write(STDERR_FILENO, line,
			     strlen(line)); /* nowhere left to complain */
	errno = saved;
}

void log_write(int priority, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (priority > log_settings.max_priority)
		return;
	va_start(ap, fmt);
	text = str_vformat(fmt, ap);
	va_end(ap);
	log_line(priority, text ? text : "out of memory");
}

void log_error(int priority, const struct error *err, const char *fmt, ...)
{
	_cleanup_free_ char *context = NULL;
	va_list ap;

	if (priority > log_settings.max_priority)
		return;
	va_start(ap, fmt);
	context = str_vformat(fmt, ap);
	va_end(ap);
	log_write(priority, "%s: %s", context ? context : "?", error_text(err, true));
}

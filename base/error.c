#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

_printf_(4, 0) static void error_set(struct error *err, int number, const char *code,
				     const char *fmt, va_list ap)
{
	int saved = errno;
	/* before the old one goes: it may be among the arguments */
	char *message = str_vformat(fmt, ap);

	error_done(err);
	err->number = number < 0 ? number : -EIO;
	err->code = code;
	err->message = message;
	errno = saved;
}

void error_done(struct error *err)
{
	free(err->message);
	free(err->suggestion);
	*err = ERROR_INIT;
}

int error_user(struct error *err, int number, const char *code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return number;

	va_start(ap, fmt);
	error_set(err, number, code, fmt, ap);
	va_end(ap);
	return number;
}

int error_internal(struct error *err, int number, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	int saved = errno;
	va_list ap;

	if (!err)
		return number;

	va_start(ap, fmt);
	error_set(err, number, NULL, fmt, ap);
	va_end(ap);

	what = TAKE_PTR(err->message);
	err->message = str_format("%s: %s", what ? what : "out of memory",
				  strerror(-err->number));
	errno = saved;
	return number;
}

void error_suggest(struct error *err, const char *fmt, ...)
{
	_cleanup_free_ char *old = NULL;
	va_list ap;

	if (!err)
		return;

	old = err->suggestion;
	va_start(ap, fmt);
	err->suggestion = str_vformat(fmt, ap);
	va_end(ap);
}

int error_wrap(struct error *err, int number, const char *fmt, ...)
{
	_cleanup_free_ char *context = NULL, *inner = NULL;
	va_list ap;

	if (!err)
		return number;

	va_start(ap, fmt);
	context = str_vformat(fmt, ap);
	va_end(ap);

	if (!error_is_set(err))
		return error_internal(err, number, "%s",
				      context ? context : "out of memory");

	inner = TAKE_PTR(err->message);
	err->message = str_format("%s: %s", context ? context : "", inner ? inner : "");
	return number;
}

const char *error_text(const struct error *err, bool full)
{
	if (!err->code && !full)
		return "internal error";
	if (err->message)
		return err->message;
	return err->number ? strerror(-err->number) : "no error";
}

const char *error_code(const struct error *err)
{
	return err->code ? err->code : "INTERNAL_ERROR";
}

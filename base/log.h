#pragma once

/*
 * One line per event on standard error, with the <N> priority prefix of sd-daemon(3) when standard
 * error is the journal, plain otherwise. Bytes from outside must be escaped (escape.h) by the caller.
 */

#include <syslog.h>

#include "base/error.h"

/* Name the program in plain output and choose the lowest priority shown (LOG_INFO, LOG_DEBUG). */
void log_setup(const char *program, int max_priority);

/* One line, without its end, at a priority of syslog(3). */
void log_write(int priority, const char *fmt, ...) _printf_(2, 3);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_err(...) log_write(LOG_ERR, __VA_ARGS__)

/* The whole of err behind a context: the one place where a failure that stops travelling is logged. */
void log_error(int priority, const struct error *err, const char *fmt, ...)
	_printf_(3, 4);

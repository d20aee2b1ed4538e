#pragma once

/*
 * What went wrong, in the words a person will read.
 *
 * A function that can fail returns 0 or a negative errno value; above base/, a failure that a
 * person will read also fills a struct error. Two kinds exist: error_user() for what the client
 * caused and can mend, with a stable identifier scripts can test for; error_internal() for
 * everything else: the client sees "internal error", the log sees all of it.
 */

#include <stdbool.h>

#include "base/macro.h"

struct error {
	int number;       /* negative errno value, 0 while unset */
	const char *code; /* static identifier ("PROJECT_NOT_FOUND"), NULL: internal */
	char *message;    /* one sentence without a full stop, UTF-8, owned */
	char *suggestion; /* what to type or do, owned, may be NULL */
};

#define ERROR_INIT ((struct error){ .number = 0 })

void error_done(struct error *err);
#define _cleanup_error_ _cleanup_(error_done)

/* Was it filled? */
static inline bool error_is_set(const struct error *err)
{
	return err && err->number != 0;
}

/*
 * Fill err (which may be NULL) and return `number`, so that a failure is one statement. A filled err
 * is replaced. `code` must be a string constant.
 */
int error_user(struct error *err, int number, const char *code, const char *fmt, ...)
	_printf_(4, 5);
int error_internal(struct error *err, int number, const char *fmt, ...) _printf_(3, 4);

/* Add what the user can type or do next; replaces an earlier suggestion. */
void error_suggest(struct error *err, const char *fmt, ...) _printf_(2, 3);

/*
 * Put context before the message ("restart 'shop': unit failed") and return `number`. An err that was
 * not filled becomes an internal one for `number`.
 */
int error_wrap(struct error *err, int number, const char *fmt, ...) _printf_(3, 4);

/* The message for people: "internal error" for internal ones unless `full`. Never NULL. */
const char *error_text(const struct error *err, bool full);

/* The identifier for scripts: "INTERNAL_ERROR" where none was given. Never NULL. */
const char *error_code(const struct error *err);

#pragma once

/* The words of a command line, taken apart by the table of verbs. */

#include "base/error.h"
#include "command/verb.h"

struct args {
	const struct verb *verb; /* NULL: none was recognised */
	const char **words; /* behind the name; the array is owned, the words are not */
	size_t word_count;
	const char *noun; /* "project" where only that was given, else NULL */
	bool set[_FLAG_N];
	const char *value[_FLAG_N]; /* of flags that take one, not owned */
};

void args_done(struct args *args);
#define _cleanup_args_ _cleanup_(args_done)

/*
 * Take count words apart: the verb, its flags wherever they stand up to "--", the rest. Flags are
 * --name, --name VALUE, --name=VALUE, -x, -x VALUE and -xVALUE. With --help nothing else is asked of
 * the rest.
 *
 * Returns 0, or -EINVAL with COMMAND_NOT_FOUND or INVALID_OPTIONS, the suggestion being the usage of the
 * verb; ret_args is filled as far as it went in any case (so that --json holds for the complaint).
 */
int args_parse(const char *const *words, size_t count, struct args *ret_args,
	       struct error *err) _must_check_;

/* "usage: hostkit logs [P] [-f] ...", owned; NULL: no memory. */
char *args_usage(const struct verb *verb) _must_check_;

/* Fill err with INVALID_OPTIONS and the verb's usage. Returns -EINVAL. */
int args_refuse(const struct verb *verb, struct error *err, const char *fmt, ...)
	_printf_(3, 4);

/* Fill err with COMMAND_NOT_FOUND for words that begin no verb, and what may have been meant. Returns -EINVAL. */
int args_refuse_verb(const char *const *words, size_t count, struct error *err);

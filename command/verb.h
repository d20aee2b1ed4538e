#pragma once

/*
 * The verbs: one table that says what there is, how it is called, who may, and what runs. Parsing, help,
 * `capabilities` and docs/commands.md all read it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct command;

/* A flag means the same wherever it is accepted. */
enum flag {
	FLAG_JSON,
	FLAG_HELP,
	FLAG_ADMIN,
	FLAG_OPERATOR,
	FLAG_DEPLOY,
	FLAG_PYTHON,
	FLAG_NODE,
	FLAG_NEXTJS,
	FLAG_STATIC,
	FLAG_NO_DB,
	FLAG_NO_AUTH,
	FLAG_NO_STORAGE,
	FLAG_CONFIRM,
	FLAG_DRY_RUN,
	FLAG_TO,
	FLAG_FOLLOW,
	FLAG_LINES,
	FLAG_ERROR,
	FLAG_BUILD,
	FLAG_SHOW,
	FLAG_RESTART,
	FLAG_MARKDOWN,
	_FLAG_N,
};

#define FLAG_BIT(f) (UINT64_C(1) << (f))
/* Every verb takes these. */
#define FLAGS_COMMON (FLAG_BIT(FLAG_JSON) | FLAG_BIT(FLAG_HELP))

struct flag_info {
	const char *name;  /* without its hyphens */
	char letter;       /* short form, or '\0' */
	const char *value; /* placeholder of the value, NULL: takes none */
	const char *help;
	bool hidden; /* not in help and documentation */
};

/* Never NULL. */
const struct flag_info *flag_info(enum flag flag);

/* `max_words` of a verb that takes as many as there are. */
#define VERB_WORDS_ANY UINT32_MAX

#define VERB_EXAMPLES_MAX 3

struct verb {
	const char *name;     /* one or two words */
	const char *synopsis; /* what stands behind the name, "" for nothing */
	const char *help;     /* one line */
	const char *details;  /* lines of further help, NULL: none */
	const char *examples[VERB_EXAMPLES_MAX];
	uint32_t
		roles; /* bits 1 << enum role: whom hostkitd lets do it; shown, not enforced here */
	uint32_t min_words;
	uint32_t max_words;
	uint64_t flags; /* beside FLAGS_COMMON */
	/* does it; returns 0 or a negative errno value with err filled */
	int (*run)(struct command *command, struct error *err);
};

/* All verbs, in the order of the help. */
const struct verb *verb_table(size_t *ret_count);

/*
 * The verb that begins words (count of them): two words are tried before one. NULL if there is none.
 * *ret_used is how many words its name takes.
 */
const struct verb *verb_find(const char *const *words, size_t count, size_t *ret_used);

/* Is it the first word of verbs of two words ("project")? */
bool verb_is_noun(const char *word);

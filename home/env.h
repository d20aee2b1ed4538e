#pragma once

/*
 * A project's .env: the one reader and writer, and the language in which changes are asked for.
 *
 * The format is that of EnvironmentFile= (systemd.exec(5)), because systemd is who hands the variables
 * to the app: KEY=VALUE lines, comments that begin with '#' or ';', single quotes (nothing is special
 * inside), double quotes (a backslash before one of " \ ` $ takes its meaning away), a backslash outside
 * quotes takes the meaning of any character away and joins lines. What this reader sees in a file is what
 * the app gets; what this writer writes comes back byte for byte. Lines that nobody asked to change stay
 * as they are, with comments and order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/wire.h"

#define ENV_FILE_MAX (1024u * 1024)       /* bytes of a .env */
#define ENV_KEY_MAX 255                   /* bytes of a key */
#define ENV_VALUE_MAX (128u * 1024 - 512) /* the kernel takes 128 KiB for KEY=VALUE */
#define ENV_CHANGES_MAX 1000              /* in one request */

/* A stretch of the file: an assignment, or (key NULL) anything else. All owned, values cleared when freed. */
struct env_entry {
	char *key;
	char *value;
	char *raw; /* the bytes of the file, with the newline; NULL: changed since it was read */
	size_t raw_size;
};

struct env {
	struct env_entry *entries;
	size_t count;
};

void env_done(struct env *env);
#define _cleanup_env_ _cleanup_(env_done)

/*
 * Read size bytes of a .env into *ret_env, to be done with env_done(). Lines that systemd would pass over
 * are kept as they are. Returns 0, -ENOMEM, -EFBIG with ENV_TOO_LARGE, or -EBADMSG with ENV_INVALID
 * for what systemd would not read either: a NUL or bytes that are not UTF-8.
 */
int env_parse(const void *data, size_t size, struct env *ret_env, struct error *err)
	_must_check_;

/* The value that the app gets for key (the last one counts), NULL if none. */
const char *env_get(const struct env *env, const char *key);

/*
 * Step through what the app gets, in the order of the file: start with *at = 0; NULL: no more. An
 * assignment that a later one overrules is left out.
 */
const struct env_entry *env_next(const struct env *env, size_t *at);

/*
 * Give key a value: at the place it had, or else at the end. Returns 1 when that changed something, 0 when
 * it was so already, -EINVAL with INVALID_KEY or INVALID_VALUE (a newline, not UTF-8, too long), or -ENOMEM.
 */
int env_set(struct env *env, const char *key, const char *value, struct error *err)
	_must_check_;

/* Remove every assignment of key. Returns 1, 0 when there was none, -EINVAL with INVALID_KEY. */
int env_unset(struct env *env, const char *key, struct error *err) _must_check_;

/* Append the file's new contents to buf, which remembers a failure and should be cleared as a secret. */
void env_render(const struct env *env, struct strbuf *buf);

/* Is it a name for a variable: ^[A-Za-z_][A-Za-z0-9_]*$ of at most ENV_KEY_MAX bytes? */
bool env_key_is_valid(const char *key);

/* Is it one that HostKit sets and nobody else (PORT, ...)? */
bool env_key_is_reserved(const char *key);

/* Would its value be a secret, judged by its name (…PASSWORD…, …TOKEN…)? Such are shown as asterisks. */
bool env_key_is_secret(const char *key);

/*
 * The language of `hostkit-home env-edit`: standard input is {u32 count, count × {u32 op, string key,
 * string value}} up to its end; the answer is {u32 0, u32 count, count × bool changed}, or {i32 negative
 * errno value, string code, string message, string suggestion} with nothing changed at all.
 */
enum env_op {
	ENV_OP_SET,
	ENV_OP_UNSET, /* the value is empty */
	_ENV_OP_N,
};

struct env_change {
	uint32_t op;
	char *key;
	char *value;
};

struct env_changes {
	struct env_change *items;
	uint32_t count;
};

void env_changes_done(struct env_changes *changes);
#define _cleanup_env_changes_ _cleanup_(env_changes_done)

/* Write a request. A buffer with values in it should be cleared with strbuf_done_secret(). */
void env_changes_put(struct strbuf *buf, const struct env_changes *changes);

/* Read a request. Returns 0, -EBADMSG or -ENOMEM. */
int env_changes_get(const void *data, size_t size, struct env_changes *ret_changes)
	_must_check_;

/*
 * Apply all of them or, on failure, leave env in pieces that must not be written. changed has room for
 * changes->count. Returns 0, or as env_set(), or -EPERM with RESERVED_KEY.
 */
int env_apply(struct env *env, const struct env_changes *changes, bool *changed,
	      struct error *err) _must_check_;

/* Write an answer: of err if it is set, else of the count results in changed. */
void env_answer_put(struct strbuf *buf, const bool *changed, uint32_t count,
		    const struct error *err);

/*
 * Read an answer to `count` changes. Returns 0 with changed filled, the negative number of the failure it
 * reports with err filled, or -EBADMSG.
 */
int env_answer_get(const void *data, size_t size, uint32_t count, bool *changed,
		   struct error *err) _must_check_;

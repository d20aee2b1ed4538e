#pragma once

/* Who may do what: one table, one function. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "protocol/request.h"

struct principal {
	enum role role;
	int64_t key;       /* row of the key, 0 for local users */
	char *name;        /* of the key or the local user */
	char *project;     /* the one it is bound to, "" for none */
	char *fingerprint; /* "" for local users */
};

void principal_done(struct principal *principal);
/* Returns 0 or -ENOMEM. */
int principal_copy(const struct principal *principal, struct principal *ret) _must_check_;

/* What can be allowed; those of the second group are not about one project. */
#define ACTION_TABLE(X) \
	X(PUSH)         \
	X(FETCH)        \
	X(PROJECT_SEE)  \
	X(RESTART)      \
	X(RELEASE_SEE)  \
	X(JOB_SEE)      \
	X(LOG_READ)     \
	X(ENV_READ)     \
	X(ENV_EDIT)     \
	X(ROLLBACK)     \
	X(DELETE)       \
	X(COMMAND)      \
	X(PROVISION)    \
	X(KEY_SEE)      \
	X(KEY_EDIT)

enum action {
#define X(name) ACTION_##name,
	ACTION_TABLE(X)
#undef X
	_ACTION_N,
};
#define ACTION_FIRST_GENERAL ACTION_COMMAND

/*
 * May the principal do it? `project` is NULL for actions that are not about one; `exists` says whether
 * there is such a project. Returns 0, or
 * -ENOENT PROJECT_NOT_FOUND, word for word the same for a project that does not exist and for one
 * that is not the principal's, or -EACCES ACCESS_DENIED.
 */
int authorize(const struct principal *principal, enum action action, const char *project,
	      bool exists, struct error *err) _must_check_;

/* May the principal see this project at all? For lists. */
bool authorize_sees(const struct principal *principal, const char *project);

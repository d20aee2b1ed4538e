#include "hostkitd/authorize.h"

#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/str.h"

#define BIT(action) (1u << ACTION_##action)

#define READS (BIT(PROJECT_SEE) | BIT(RELEASE_SEE) | BIT(JOB_SEE) | BIT(COMMAND))
#define OPERATES                                                                         \
	(READS | BIT(PUSH) | BIT(FETCH) | BIT(RESTART) | BIT(LOG_READ) | BIT(ENV_READ) | \
	 BIT(ENV_EDIT) | BIT(ROLLBACK))

static const struct {
	bool bound; /* to one project */
	uint32_t actions;
} role_table[_ROLE_N] = {
	[ROLE_ADMIN] = { false, OPERATES | BIT(DELETE) | BIT(PROVISION) | BIT(KEY_SEE) |
					BIT(KEY_EDIT) },
	[ROLE_OPERATOR] = { false, OPERATES | BIT(PROVISION) },
	[ROLE_PROJECT] = { true, OPERATES & ~BIT(PUSH) },
	[ROLE_DEPLOY] = { true, READS | BIT(PUSH) },
};

void principal_done(struct principal *principal)
{
	free(principal->name);
	free(principal->project);
	free(principal->fingerprint);
	*principal = (struct principal){ 0 };
}

int principal_copy(const struct principal *principal, struct principal *ret)
{
	struct principal copy = {
		.role = principal->role,
		.key = principal->key,
		.name = strdup(principal->name),
		.project = strdup(principal->project),
		.fingerprint = strdup(principal->fingerprint),
	};

	if (!copy.name || !copy.project || !copy.fingerprint) {
		principal_done(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

bool authorize_sees(const struct principal *principal, const char *project)
{
	return !role_table[principal->role].bound ||
	       str_equal(principal->project, project);
}

int authorize(const struct principal *principal, enum action action, const char *project,
	      bool exists, struct error *err)
{
	if (project && (!exists || !authorize_sees(principal, project))) {
		_cleanup_free_ char *shown = escape_text(project, REQUEST_NAME_MAX);

		error_user(err, -ENOENT, "PROJECT_NOT_FOUND",
			   "there is no project '%s', or it is not yours",
			   shown ? shown : "?");
		error_suggest(err, "hostkit provision %s makes it; hostkit project list",
			      shown ? shown : "NAME");
		return -ENOENT;
	}
	if (role_table[principal->role].actions & (1u << action))
		return 0;
	return error_user(err, -EACCES, "ACCESS_DENIED", "the role '%s' may not do that",
			  role_name(principal->role));
}

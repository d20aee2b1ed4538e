#pragma once

/* Users: looked up in /etc/passwd itself, so that no plug-in of the C library runs in root. */

#include <sys/types.h>

#include "base/error.h"

struct account;

#define ACCOUNT_COMMENT "HostKit project"

/* Lookup: 1 found, 0 not, or negative. ret_comment (GECOS, owned) may be NULL. */
int account_find(const char *name, struct account *ret_account, char **ret_comment)
	_must_check_;
/* The name of a uid, owned. */
int account_name(uid_t uid, char **ret_name) _must_check_;

#pragma once

/* A list of object names that grows. */

#include <stddef.h>

#include <git2/oid.h>

#include "base/macro.h"

struct oid_list {
	git_oid *oids; /* owned */
	size_t count, allocated;
};

void oid_list_done(struct oid_list *list);
#define _cleanup_oid_list_ _cleanup_(oid_list_done)

/* Append a copy. Returns 0 or -ENOMEM. */
int oid_list_add(struct oid_list *list, const git_oid *oid) _must_check_;

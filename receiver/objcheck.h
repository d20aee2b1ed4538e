#pragma once

/*
 * What objects must be like: the checks of git-fsck(1) with its names and words for what is wrong, and
 * the links that objects have to others.
 */

#include <stdbool.h>
#include <stdint.h>

#include <git2/types.h>

#include "receiver/oidset.h"

/* A violation: oid (of the object that has it), "hasDotgit", "contains '.git'"; fatal or a warning. */
typedef void objcheck_report(void *userdata, bool fatal, const git_oid *oid,
			     const char *id, const char *message);

/* Flaws told of one push: enough to see what is the matter. One line more says that there are others. */
#define OBJCHECK_REPORTS_MAX 100

struct objcheck {
	bool strict_modes; /* a mode that git itself does not write is fatal, too */
	objcheck_report *report;
	void *userdata;
	unsigned reported;        /* so many times */
	struct oidset gitmodules; /* blobs that stand as .gitmodules in some tree */
	bool no_memory;
};

void objcheck_done(struct objcheck *check);

/* Check one object. Returns true if nothing fatal was reported. */
bool objcheck_object(struct objcheck *check, const git_oid *oid, git_object_t type,
		     const void *data, size_t size);

/* Check the contents of one blob of `gitmodules`; a type other than blob is fatal as well. */
bool objcheck_gitmodules(struct objcheck *check, const git_oid *oid, git_object_t type,
			 const void *data, size_t size);

/* What a link may lead to: bits of struct oidset_slot.value. */
#define OBJCHECK_COMMIT 1u
#define OBJCHECK_TREE 2u
#define OBJCHECK_BLOB 4u
#define OBJCHECK_TAG 8u

/* The bit of a type; 0 for one that is none. */
uint8_t objcheck_kind(git_object_t type);

/*
 * Add to `links` what the object needs to be complete: everything but the commits of submodules, and the
 * parents of a commit only with `parents`. Returns 0, -EBADMSG when it cannot be read, or -ENOMEM.
 */
int objcheck_links(git_object_t type, const void *data, size_t size, bool parents,
		   struct oidset *links);

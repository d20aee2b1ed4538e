#pragma once

/* Reading a git tree object and refusing what must never become a file. */

#include <git2/oid.h>
#include <stddef.h>

#include "base/macro.h"

/* What an entry becomes; the only modes that git itself writes, and the old 100664. */
enum tree_kind {
	TREE_KIND_FILE,
	TREE_KIND_EXECUTABLE,
	TREE_KIND_LINK,
	TREE_KIND_DIRECTORY,
	TREE_KIND_SUBMODULE,
	_TREE_KIND_N,
};

struct checked_entry {
	enum tree_kind kind;
	const char *name; /* a view into the object, NUL-terminated */
	size_t name_size;
	git_oid oid;
};

/* What is wrong with a tree: a phrase, and the name of the entry ("" if there is none to show). */
struct tree_fault {
	const char *why;
	const char *name; /* a view into the object; foreign bytes */
};

/*
 * Read the size bytes of a tree object and check every entry: form, kind, name (no "", ".", "..", '/',
 * nothing that is ".git" on some file system, at most NAME_MAX bytes), git's order, no name twice.
 *
 * Returns 0 with *ret_entries (owned by the caller; NULL when there are none) and their count, -EBADMSG
 * with *ret_fault, or -ENOMEM. The names point into data.
 */
int tree_check(const void *data, size_t size, struct checked_entry **ret_entries,
	       size_t *ret_count, struct tree_fault *ret_fault) _must_check_;

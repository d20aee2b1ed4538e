#pragma once

/*
 * Where objects of a push stay until they have been judged: objects/incoming-XXXXXX, laid out like an
 * object directory. A client that is refused, or goes away, leaves nothing behind.
 */

#include <git2/oid.h>

#include "receiver/store.h"

struct quarantine {
	struct store *store;
	char *name;            /* below objects/; NULL: none was made */
	int fd;                /* locked while it is in use */
	int pack_fd;           /* its pack/ */
	bool made_directories; /* in the store, for what was moved */
};

/*
 * Make a fresh quarantine (0700), and sweep those whose process was killed. Its objects are found by nobody
 * until it is made an alternate of the store's.
 */
int quarantine_open(struct store *store, struct quarantine *ret_quarantine,
		    struct error *err) _must_check_;

/* Remove it with all that is in it. */
void quarantine_done(struct quarantine *quarantine);
#define _cleanup_quarantine_ _cleanup_(quarantine_done)

/* Write an object as a loose one; it is flushed to the disk by quarantine_migrate(). */
int quarantine_write_loose(struct quarantine *quarantine, const git_oid *oid,
			   const char *type, const void *data, size_t size) _must_check_;

/*
 * Move everything into the repository, written through to the disk: loose objects, then each pack before its
 * index, by which it is found. The caller holds the store's lock.
 */
int quarantine_migrate(struct quarantine *quarantine, struct error *err) _must_check_;

#pragma once

/* A bare repository that is open: its directory, its objects, its settings, its lock. */

#include <stdbool.h>
#include <stdint.h>

#include <git2/odb.h>

#include "base/error.h"
#include "receiver/oidset.h"

/* From the repository's own config file; no other file is read. */
struct store_settings {
	bool deny_deletes;          /* receive.denyDeletes */
	bool deny_non_fast_forward; /* receive.denyNonFastForwards */
	bool allow_delete_current; /* receive.denyDeleteCurrent is false, ignore or warn */
	bool fsck;                 /* receive.fsckObjects, or transfer.fsckObjects */
	bool push_options;         /* receive.advertisePushOptions */
	bool no_atomic;            /* receive.advertiseAtomic is false */
	bool no_ofs_delta;         /* repack.useDeltaBaseOffset is false */
	uint64_t max_input;        /* receive.maxInputSize; 0: no limit */
	uint32_t unpack_below;     /* receive.unpackLimit, transfer.unpackLimit; 100 */
};

struct store {
	char *path; /* absolute */
	int fd;
	int objects_fd;
	git_odb *odb;
	struct store_settings settings;
	struct oidset shallow; /* commits whose parents are known to be missing */
};

/*
 * Open the repository; fails with NOT_A_REPOSITORY and git's words when it is none. The library must have
 * been started (library.h).
 */
int store_open(const char *path, struct store *ret_store, struct error *err) _must_check_;
void store_done(struct store *store);
#define _cleanup_store_ _cleanup_(store_done)

/*
 * Wait for the repository's lock. Returns a descriptor that holds it until closed, or a negative errno
 * value. Held while objects and refs are moved into place or removed; never while bytes are
 * awaited from a client.
 */
int store_lock(const struct store *store) _must_check_;

/* The right to consolidate. Returns a descriptor as store_lock(), or -EWOULDBLOCK when another has it. */
int store_lock_consolidation(const struct store *store) _must_check_;

/* Would the list of shallow commits with so many more still be read? */
bool store_has_room_for_shallow(const struct store *store, size_t count);

/*
 * Add commits to the repository's list of shallow ones. The caller holds the store's lock. Returns STORE_E_OK,
 * STORE_E_FULL when the list would be too long to be read, or a negative errno value.
 */
enum {
	STORE_E_OK,
	STORE_E_FULL,
};
int store_add_shallow(struct store *store, const struct oidset *oids) _must_check_;

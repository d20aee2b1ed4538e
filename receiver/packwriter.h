#pragma once

/* Writing a pack (gitformat-pack(5)) object by object, with what the repository's packs have ready. */

#include <stdbool.h>

#include <git2/odb.h>

#include "base/error.h"
#include "receiver/packs.h"
#include "receiver/sendset.h"

struct packwriter_options {
	bool ofs_delta; /* the reader knows deltas by offset */
	bool thin; /* the reader has the excluded objects and may be sent deltas on top of them */
};

/* Where the bytes go. */
struct packwriter_sink {
	/* Returns 0 or a negative errno value, which ends the writing. */
	int (*write)(void *userdata, const void *data, size_t size);
	/* Called between objects: `done` of `total` are written. */
	void (*progress)(void *userdata, uint32_t done, uint32_t total);
	void *userdata;
};

struct packwriter_stats {
	uint32_t deltas,
		copied; /* objects written as deltas; taken from packs as they were */
};

/*
 * Write a pack of all objects in set. Memory: one object that no pack has, and what `set` takes.
 *
 * Returns 0, what the sink returned, -ENOENT for an object that is missing or damaged, or -ENOMEM.
 */
int packwriter_run(struct sendset *set, struct packs *packs,
		   const struct packwriter_options *options,
		   const struct packwriter_sink *sink, struct packwriter_stats *ret_stats,
		   struct error *err) _must_check_;

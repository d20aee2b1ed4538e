#pragma once

/*
 * Taking in a pack (gitformat-pack(5)) from a client: parsed while it arrives, so that its end is known
 * without the client closing; deltas resolved, thin packs completed, every object named, checked and
 * counted; kept as a pack with an index, or as loose objects when there are few.
 */

#include <git2/odb.h>

#include "receiver/objcheck.h"
#include "receiver/oidset.h"
#include "receiver/pktline.h"
#include "receiver/quarantine.h"

struct pack_limits {
	uint64_t bytes;        /* of the pack; 0: no limit */
	uint64_t object_bytes; /* of one object, unpacked */
	uint64_t total_bytes;  /* of all objects and deltas, unpacked; 0: no limit */
	uint32_t objects;      /* in one pack */
	uint32_t unpack_below; /* fewer objects than this become loose ones */
};

/*
 * Told from time to time while deltas are resolved; may keep a connection alive. A negative errno value ends
 * the work: nobody is there any more who wants it.
 */
typedef int pack_tick(void *userdata, uint32_t done, uint32_t total);

struct pack_plan {
	struct pktline_reader *in;
	struct quarantine *quarantine;
	git_odb *odb; /* where the bases of thin packs are */
	struct pack_limits limits;
	struct objcheck *check; /* NULL: objects are not judged, only their links read */
	const struct oidset *shallow; /* commits whose parents need not exist */
	pack_tick *tick;              /* may be NULL */
	void *userdata;
};

struct pack_result {
	uint32_t objects;
	uint32_t deltas;
	uint32_t borrowed;      /* bases a thin pack did not bring */
	struct oidset have;     /* every object in the pack with its kind (objcheck.h) */
	struct oidset links;    /* what they need, with the kinds it must have */
	struct oidset pointers; /* blobs that are Git LFS pointers */
	bool malformed;         /* the links of some object could not be read */
	bool unpacked;          /* into loose objects (git names another program then) */
	char *name;             /* the pack's checksum, hexadecimal; NULL if unpacked */
};

/* The code of an error in the first bytes, which git reports as the state of the unpacking itself. */
#define PACK_HEADER_CODE "BAD_PACK_HEADER"

void pack_result_done(struct pack_result *result);
#define _cleanup_pack_result_ _cleanup_(pack_result_done)

/*
 * Read exactly one pack from plan->in into the quarantine. Nothing of it stays there when this fails,
 * except for what quarantine_done() removes.
 *
 * Returns 0, -EPROTO and the like for a pack that cannot be accepted, with git's words where git has
 * any; or another negative errno value.
 */
int pack_receive(const struct pack_plan *plan, struct pack_result *ret_result,
		 struct error *err) _must_check_;

/* Read one pack and forget it, at most `bytes` of it (0: no limit). Returns as pack_receive(). */
int pack_skip(struct pktline_reader *in, uint64_t bytes, struct error *err) _must_check_;

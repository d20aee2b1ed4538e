#pragma once

#include <zlib.h>

#include "receiver/pack.h"
#include "receiver/sha1.h"

/* Types of pack entries that are no object types. */
#define PACK_OFS_DELTA 6
#define PACK_REF_DELTA 7

#define PACK_NO_INDEX UINT32_MAX

struct pack_entry {
	git_oid oid;
	uint64_t offset;
	uint64_t size;        /* unpacked: of the object, or of the delta */
	uint8_t *data;        /* unpacked, kept while there is room; owned */
	uint32_t crc;         /* of its bytes in the pack */
	uint32_t header_size; /* bytes in front of the compressed ones */
	uint8_t stored_type;  /* as in the pack */
	uint8_t type;         /* git_object_t once known, 0 before */
};

struct ofs_delta {
	uint64_t base_offset;
	uint32_t entry;
};

struct ref_delta {
	git_oid base;
	uint32_t entry;
};

struct pack {
	const struct pack_plan *plan; /* NULL while a pack is skipped */
	struct pktline_reader *in;
	uint64_t max_bytes;

	/* the stream: a view of what was read, of which `used` bytes are consumed */
	const uint8_t *view;
	size_t view_size, used;
	uint64_t consumed; /* bytes of the pack before the view */
	struct sha1 sha1;
	uint32_t crc;
	z_stream z;
	bool z_ready;

	int fd; /* of the file in the quarantine */
	bool file_is_whole;
	const uint8_t *map;
	uint64_t map_size;

	uint32_t announced; /* objects, by the header */
	bool unpack;
	struct pack_entry *entries;
	uint32_t count, allocated;
	struct ofs_delta *ofs;
	uint32_t ofs_count, ofs_allocated;
	struct ref_delta *refs;
	uint32_t ref_count, ref_allocated;
	uint32_t resolved;
	uint64_t kept_bytes;  /* in entries[].data */
	uint64_t total_bytes; /* unpacked, or to be unpacked */
	uint64_t made_bytes;  /* by deltas, since the last tick */
	struct pack_result result;
};

/* Give an object its name, judge it, note its links, write it if the pack is unpacked. */
int pack_object_known(struct pack *pack, uint32_t index, git_object_t type,
		      const void *data, size_t size, struct error *err);

/* Count what is about to be unpacked against the limits of one object and of all. */
int pack_count_bytes(struct pack *pack, uint64_t size, struct error *err);

/* The size of what a delta makes, by its header. Returns false for one that has none. */
bool pack_delta_size(const uint8_t *delta, size_t delta_size, uint64_t *ret_size);

/* Inflate an entry from the file. *ret_data is owned by the caller. */
int pack_inflate(struct pack *pack, const struct pack_entry *entry, uint8_t **ret_data,
		 struct error *err);

/* Room for one more element. Returns 0 or -ENOMEM. */
int pack_grow(void **list, uint32_t count, uint32_t *allocated, size_t element);

/* Resolve all deltas; borrow what bases are missing from the repository. */
int pack_resolve(struct pack *pack, struct error *err);

/* Append a borrowed object to the file as an entry of its own. */
int pack_append(struct pack *pack, const git_oid *oid, git_object_t type,
		const void *data, size_t size, struct error *err);

/* Complete header and checksum, write the index, give both their names. */
int pack_finish(struct pack *pack, const uint8_t digest[SHA1_SIZE], struct error *err);

/* The words for a pack that breaks a rule. */
#define pack_bad(err, ...) error_user(err, -EPROTO, "BAD_PACK", __VA_ARGS__)

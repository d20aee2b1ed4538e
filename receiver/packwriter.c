/*
 * Objects that lie in a pack are copied as they are compressed there, deltas as deltas wherever their base
 * goes along: nothing is inflated, compared or compressed again, so that a clone costs little more than
 * reading the pack. Loose objects, few because they are consolidated in the background, are compressed
 * whole. (libgit2's packbuilder would unpack and delta-compress everything anew for each client.)
 *
 * A base is written before what stands on it.
 */
#include "receiver/packwriter.h"

#include <git2/errors.h>
#include <string.h>
#include <zlib.h>

#include "receiver/sha1.h"

/* send_object.flags: it is in the chain of bases that is just being followed. */
#define IN_CHAIN 1u
/* Loose objects larger than this are never in memory as a whole. */
#define PIECE_SIZE (1024 * 1024)

struct link {
	uint32_t position; /* in the set */
	bool packed;       /* `entry` is valid */
	struct pack_entry entry;
};

struct packwriter {
	struct sendset *set;
	struct packs *packs;
	const struct packwriter_options *options;
	const struct packwriter_sink *sink;
	struct packwriter_stats stats;
	struct sha1 sha1;
	uint64_t offset;
	struct link *
		chain; /* an object, its base, the base of that, ... to be written from the end */
	size_t chain_count, chain_allocated;
};

static int put(struct packwriter *w, const void *data, size_t size)
{
	sha1_add(&w->sha1, data, size);
	w->offset += size;
	return w->sink->write(w->sink->userdata, data, size);
}

static int put_header(struct packwriter *w, unsigned int type, uint64_t size)
{
	uint8_t bytes[12];
	size_t n = 0;
	uint8_t c = (uint8_t)(type << 4 | (size & 15));

	for (size >>= 4; size > 0; size >>= 7) {
		bytes[n++] = c | 0x80;
		c = size & 0x7f;
	}
	bytes[n++] = c;
	return put(w, bytes, n);
}

/* How far back the base lies, in the variable-length form of ofs-delta. */
static int put_distance(struct packwriter *w, uint64_t distance)
{
	uint8_t bytes[12];
	size_t at = sizeof(bytes);

	bytes[--at] = distance & 0x7f;
	while (distance >>= 7)
		bytes[--at] = (uint8_t)(0x80 | (--distance & 0x7f));
	return put(w, bytes + at, sizeof(bytes) - at);
}

static int missing(const git_oid *oid, struct error *err)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	return error_internal(err, -ENOENT, "object %s", hex);
}

/* Compress size bytes more, and end the stream with `last`. */
static int deflate_some(struct packwriter *w, z_stream *stream, const void *data,
			size_t size, bool last)
{
	uint8_t out[16384];
	int status, r;

	stream->next_in = (Bytef *)data;
	do {
		/* zlib counts in 32 bits */
		if (stream->avail_in == 0) {
			stream->avail_in = size > 1u << 30 ? 1u << 30 : (uInt)size;
			size -= stream->avail_in;
		}
		stream->next_out = out;
		stream->avail_out = sizeof(out);
		status = deflate(stream, last && size == 0 ? Z_FINISH : Z_NO_FLUSH);
		r = put(w, out, sizeof(out) - stream->avail_out);
	} while (r >= 0 && status == Z_OK &&
		 (last || size > 0 || stream->avail_in > 0 || stream->avail_out == 0));
	if (r < 0)
		return r;
	return status == (last ? Z_STREAM_END : Z_OK) || status == Z_BUF_ERROR ? 0 : -EIO;
}

static int write_read_object(struct packwriter *w, z_stream *stream, const git_oid *oid,
			     struct error *err)
{
	git_odb_object *object = NULL;
	int r;

	if (git_odb_read(&object, w->set->odb, oid) < 0)
		return missing(oid, err);
	r = put_header(w, (unsigned int)git_odb_object_type(object),
		       git_odb_object_size(object));
	if (r >= 0)
		r = deflate_some(w, stream, git_odb_object_data(object),
				 git_odb_object_size(object), true);
	git_odb_object_free(object);
	return r;
}

/* Piece by piece; only loose objects can be read that way. */
static int write_streamed(struct packwriter *w, z_stream *stream, git_odb_stream *in,
			  uint64_t size)
{
	_cleanup_free_ char *piece = malloc(PIECE_SIZE);

	if (!piece)
		return -ENOMEM;
	while (size > 0) {
		int n = git_odb_stream_read(in, piece, PIECE_SIZE);
		int r;

		if (n <= 0 || (uint64_t)n > size)
			return -EIO;
		size -= (uint64_t)n;
		r = deflate_some(w, stream, piece, (size_t)n, size == 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_whole(struct packwriter *w, const git_oid *oid, struct error *err)
{
	git_odb_stream *in = NULL;
	z_stream stream = { 0 };
	git_object_t type;
	size_t size;
	int r;

	if (git_odb_read_header(&size, &type, w->set->odb, oid) < 0)
		return missing(oid, err);
	if (deflateInit(&stream, Z_DEFAULT_COMPRESSION) != Z_OK)
		return -ENOMEM;
	if (size > PIECE_SIZE &&
	    git_odb_open_rstream(&in, &size, &type, w->set->odb, oid) == 0) {
		r = put_header(w, (unsigned int)type, size);
		if (r >= 0)
			r = write_streamed(w, &stream, in, size);
		git_odb_stream_free(in);
		if (r == -EIO)
			r = missing(oid, err);
	} else {
		r = write_read_object(w, &stream, oid, err);
	}
	(void)deflateEnd(&stream); /* complains only about an unfinished stream */
	return r;
}

static int copy_entry(struct packwriter *w, const struct pack_entry *entry)
{
	w->stats.copied++;
	return put(w, entry->data, entry->data_size);
}

static int write_delta(struct packwriter *w, const struct pack_entry *entry,
		       uint64_t base_offset)
{
	int r;

	w->stats.deltas++;
	if (base_offset && w->options->ofs_delta) {
		uint64_t distance = w->offset - base_offset;

		r = put_header(w, PACK_OFS_DELTA, entry->size);
		if (r >= 0)
			r = put_distance(w, distance);
	} else {
		r = put_header(w, PACK_REF_DELTA, entry->size);
		if (r >= 0)
			r = put(w, entry->base.id, GIT_OID_RAWSZ);
	}
	return r < 0 ? r : copy_entry(w, entry);
}

/* Write one object; its base, if it is to be sent and can be, has been written. */
static int write_object(struct packwriter *w, const struct link *link, struct error *err)
{
	struct send_object *object = &w->set->objects[link->position];
	const struct pack_entry *entry = &link->entry;
	uint32_t base;
	int r;

	object->offset = w->offset;
	if (!link->packed || !pack_entry_is_whole(entry))
		return write_whole(w, &object->oid, err);
	if (!entry->delta) {
		r = put_header(w, entry->type, entry->size);
		return r < 0 ? r : copy_entry(w, entry);
	}

	base = sendset_find(w->set, &entry->base);
	if (base != OIDINDEX_NONE && w->set->objects[base].offset)
		return write_delta(w, entry, w->set->objects[base].offset);
	if (w->options->thin && oidset_has(&w->set->excluded, &entry->base))
		return write_delta(w, entry, 0);
	return write_whole(w, &object->oid, err);
}

/* Append the object to the chain. Returns 0 or -ENOMEM. */
static int chain_push(struct packwriter *w, uint32_t position)
{
	struct link *link;
	int r;

	if (w->chain_count == w->chain_allocated) {
		size_t want = w->chain_allocated ? w->chain_allocated * 2 : 64;
		struct link *grown = reallocarray(w->chain, want, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		w->chain = grown;
		w->chain_allocated = want;
	}
	link = &w->chain[w->chain_count];
	r = packs_find(w->packs, &w->set->objects[position].oid, &link->entry);
	if (r < 0)
		return r;
	link->position = position;
	link->packed = r > 0;
	w->set->objects[position].flags |= IN_CHAIN;
	w->chain_count++;
	return 0;
}

/* The base that must be written before the object: its position, or OIDINDEX_NONE. */
static uint32_t base_to_write(const struct packwriter *w, const struct link *link)
{
	uint32_t base;

	if (!link->packed || !link->entry.delta)
		return OIDINDEX_NONE;
	base = sendset_find(w->set, &link->entry.base);
	/* objects of two packs can be deltas of each other: such a circle is cut where it closes */
	if (base == OIDINDEX_NONE || w->set->objects[base].offset ||
	    (w->set->objects[base].flags & IN_CHAIN))
		return OIDINDEX_NONE;
	return base;
}

static int write_with_bases(struct packwriter *w, uint32_t position, struct error *err)
{
	int r = 0;

	while (position != OIDINDEX_NONE) {
		if (chain_push(w, position) < 0)
			return -ENOMEM;
		position = base_to_write(w, &w->chain[w->chain_count - 1]);
	}
	while (r >= 0 && w->chain_count > 0) {
		const struct link *link = &w->chain[--w->chain_count];

		w->set->objects[link->position].flags &= ~IN_CHAIN;
		r = write_object(w, link, err);
	}
	return r;
}

static int write_all(struct packwriter *w, struct error *err)
{
	uint8_t header[12] = { 'P', 'A', 'C', 'K', 0, 0, 0, 2 };
	uint32_t count = w->set->count;
	uint8_t digest[SHA1_SIZE];
	int r;

	for (int i = 0; i < 4; i++)
		header[8 + i] = (uint8_t)(count >> (24 - 8 * i));
	r = put(w, header, sizeof(header));
	for (uint32_t i = 0; r >= 0 && i < count; i++) {
		if (w->sink->progress)
			w->sink->progress(w->sink->userdata, i, count);
		if (!w->set->objects[i].offset)
			r = write_with_bases(w, i, err);
	}
	if (r < 0)
		return r;
	sha1_end(&w->sha1, digest);
	return w->sink->write(w->sink->userdata, digest, sizeof(digest));
}

int packwriter_run(struct sendset *set, struct packs *packs,
		   const struct packwriter_options *options,
		   const struct packwriter_sink *sink, struct packwriter_stats *ret_stats,
		   struct error *err)
{
	struct packwriter w = {
		.set = set,
		.packs = packs,
		.options = options,
		.sink = sink,
	};
	int r;

	sha1_init(&w.sha1);
	r = write_all(&w, err);
	free(w.chain);
	if (r < 0)
		return r;
	*ret_stats = w.stats;
	return 0;
}

/*
 * The stream side: header, entries one after the other, checksum. What it keeps true: a byte is consumed only
 * when it belongs to the pack, so whatever follows stays in the reader; no memory is taken for more than
 * an object whose announced size is within the limits.
 */
#include "receiver/pack_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <git2/object.h>

#include "base/io.h"
#include "base/str.h"
#include "gitobject/lfs.h"

#define FILE_NAME "incoming.pack"
/* Unpacked data kept for the second pass rather than inflated again. */
#define KEEP_BYTES (96u << 20)
#define KEEP_ENTRY_BYTES (1u << 20)

void pack_result_done(struct pack_result *result)
{
	oidset_done(&result->have);
	oidset_done(&result->links);
	oidset_done(&result->pointers);
	free(result->name);
	*result = (struct pack_result){ 0 };
}

static void pack_done(struct pack *pack)
{
	for (uint32_t i = 0; i < pack->count; i++)
		free(pack->entries[i].data);
	free(pack->entries);
	free(pack->ofs);
	free(pack->refs);
	if (pack->map)
		(void)munmap((void *)pack->map, pack->map_size);
	if (pack->z_ready)
		(void)inflateEnd(&pack->z);
	pack->fd = fd_close(pack->fd);
	pack_result_done(&pack->result);
}
#define _cleanup_pack_ _cleanup_(pack_done)

int pack_grow(void **list, uint32_t count, uint32_t *allocated, size_t element)
{
	uint32_t n = *allocated ? *allocated * 2 : 128;
	void *bigger;

	if (count < *allocated)
		return 0;
	if (n < *allocated)
		return -ENOMEM;
	bigger = reallocarray(*list, n, element);
	if (!bigger)
		return -ENOMEM;
	*list = bigger;
	*allocated = n;
	return 0;
}

/* "1.00 KiB" */
static char *humanise(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	unsigned unit = bytes >= 1u << 30 ? 3 : bytes >= 1u << 20 ? 2 : bytes >= 1u << 10;

	if (unit == 0)
		return str_format("%llu bytes", (unsigned long long)bytes);
	return str_format("%.2f %s", (double)bytes / (double)(1ull << (10 * unit)),
			  units[unit]);
}

static int too_large(const struct pack *pack, struct error *err)
{
	_cleanup_free_ char *text = humanise(pack->max_bytes);

	if (pack->unpack) /* of the two programs git has for this, only one gives the size */
		return error_user(err, -EFBIG, "PACK_TOO_LARGE",
				  "pack exceeds maximum allowed size");
	return error_user(err, -EFBIG, "PACK_TOO_LARGE",
			  "pack exceeds maximum allowed size (%s)", text ? text : "?");
}

/* What was used of the view belongs to the pack: account for it and let it go. */
static int flush_used(struct pack *pack, struct error *err)
{
	int r = 0;

	if (pack->used == 0)
		return 0;
	sha1_add(&pack->sha1, pack->view, pack->used);
	if (pack->fd >= 0 && !pack->file_is_whole)
		r = io_write_all(pack->fd, pack->view, pack->used);
	if (r < 0)
		return error_user(err, r, "DISK", "cannot write the pack: %s",
				  strerror(-r));
	pktline_take(pack->in, pack->used);
	pack->consumed += pack->used;
	pack->view += pack->used;
	pack->view_size -= pack->used;
	pack->used = 0;
	if (pack->max_bytes && pack->consumed > pack->max_bytes)
		return too_large(pack, err);
	return 0;
}

/* Have at least one byte behind the used ones. */
static int fill(struct pack *pack, struct error *err)
{
	ssize_t n;
	int r;

	if (pack->used < pack->view_size)
		return 0;
	r = flush_used(pack, err);
	if (r < 0)
		return r;
	n = pktline_peek(pack->in, &pack->view);
	if (n < 0)
		return error_internal(err, (int)n, "read the pack");
	if (n == 0)
		return pack_bad(err, "early EOF");
	pack->view_size = (size_t)n;
	return 0;
}

static void use(struct pack *pack, size_t size)
{
	pack->crc = (uint32_t)crc32(pack->crc, pack->view + pack->used, (uInt)size);
	pack->used += size;
}

static int take_byte(struct pack *pack, uint8_t *ret, struct error *err)
{
	int r = fill(pack, err);

	if (r < 0)
		return r;
	*ret = pack->view[pack->used];
	use(pack, 1);
	return 0;
}

static int take_bytes(struct pack *pack, uint8_t *ret, size_t size, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < size; i++)
		r = take_byte(pack, ret + i, err);
	return r;
}

static uint64_t stream_offset(const struct pack *pack)
{
	return pack->consumed + pack->used;
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int read_header(struct pack *pack, struct error *err)
{
	uint8_t header[12];
	uint32_t version;
	int r;

	r = take_bytes(pack, header, sizeof(header), err);
	if (r == -EPROTO)
		return error_user(err, r, PACK_HEADER_CODE,
				  "eof before pack header was fully read");
	if (r < 0)
		return r;
	if (memcmp(header, "PACK", 4) != 0)
		return error_user(err, -EPROTO, PACK_HEADER_CODE,
				  "protocol error (pack signature mismatch detected)");
	version = big_endian(header + 4);
	if (version != 2 && version != 3)
		return error_user(err, -EPROTO, PACK_HEADER_CODE,
				  "protocol error (pack version unsupported)");
	pack->announced = big_endian(header + 8);
	return 0;
}

/* Type and size in front of every entry: 3 bits of type, 4 and then 7 at a time of size. */
static int read_type_and_size(struct pack *pack, struct pack_entry *entry,
			      struct error *err)
{
	unsigned shift = 4;
	uint8_t c = 0;
	int r;

	r = take_byte(pack, &c, err);
	if (r < 0)
		return r;
	entry->stored_type = (c >> 4) & 7;
	entry->size = c & 15;
	for (; c & 0x80; shift += 7) {
		r = take_byte(pack, &c, err);
		if (r < 0)
			return r;
		if (shift > 57)
			return pack_bad(err, "bad object size at offset %llu",
					(unsigned long long)entry->offset);
		entry->size |= (uint64_t)(c & 0x7f) << shift;
	}
	return 0;
}

static int read_ofs_base(struct pack *pack, const struct pack_entry *entry,
			 struct error *err)
{
	uint64_t distance;
	uint8_t c = 0;
	int r;

	r = take_byte(pack, &c, err);
	if (r < 0)
		return r;
	distance = c & 0x7f;
	while (c & 0x80) {
		if (distance >= UINT64_MAX >> 8)
			return pack_bad(err,
					"offset value overflow for delta base object");
		r = take_byte(pack, &c, err);
		if (r < 0)
			return r;
		distance = ((distance + 1) << 7) | (c & 0x7f);
	}
	if (distance == 0 || distance >= entry->offset)
		return pack_bad(err, "delta base offset is out of bound");
	if (!pack->plan)
		return 0;
	r = pack_grow((void **)&pack->ofs, pack->ofs_count, &pack->ofs_allocated,
		      sizeof(*pack->ofs));
	if (r == 0)
		pack->ofs[pack->ofs_count++] =
			(struct ofs_delta){ .base_offset = entry->offset - distance,
					    .entry = pack->count };
	return r;
}

static int read_ref_base(struct pack *pack, struct error *err)
{
	git_oid base;
	int r;

	r = take_bytes(pack, base.id, sizeof(base.id), err);
	if (r < 0 || !pack->plan)
		return r;
	r = pack_grow((void **)&pack->refs, pack->ref_count, &pack->ref_allocated,
		      sizeof(*pack->refs));
	if (r == 0)
		pack->refs[pack->ref_count++] =
			(struct ref_delta){ .base = base, .entry = pack->count };
	return r;
}

static int read_base(struct pack *pack, const struct pack_entry *entry, struct error *err)
{
	switch (entry->stored_type) {
	case GIT_OBJECT_COMMIT:
	case GIT_OBJECT_TREE:
	case GIT_OBJECT_BLOB:
	case GIT_OBJECT_TAG:
		return 0;
	case PACK_OFS_DELTA:
		return read_ofs_base(pack, entry, err);
	case PACK_REF_DELTA:
		return read_ref_base(pack, err);
	default:
		return pack_bad(err, "bad object type %u at offset %llu",
				entry->stored_type, (unsigned long long)entry->offset);
	}
}

static int over_limit(const char *what, uint64_t limit, struct error *err)
{
	_cleanup_free_ char *text = humanise(limit);

	return error_user(err, -EFBIG, "OBJECT_TOO_LARGE",
			  "%s the maximum allowed size (%s)", what, text ? text : "?");
}

int pack_count_bytes(struct pack *pack, uint64_t size, struct error *err)
{
	const struct pack_limits *limits;

	if (!pack->plan)
		return 0;
	limits = &pack->plan->limits;
	if (size > limits->object_bytes)
		return over_limit("an object of the pack exceeds", limits->object_bytes,
				  err);
	/* no overflow: at most objects * object_bytes, twice */
	pack->total_bytes += size;
	if (limits->total_bytes && pack->total_bytes > limits->total_bytes)
		return over_limit("the objects of the pack, unpacked, exceed",
				  limits->total_bytes, err);
	return 0;
}

/*
 * Inflate the entry that begins here up to its end. With data it must fill exactly entry->size bytes of it;
 * without, what comes out is dropped.
 */
static int inflate_stream(struct pack *pack, const struct pack_entry *entry,
			  uint8_t *data, struct error *err)
{
	uint8_t scratch[16384];
	uint64_t made = 0;
	int status = Z_OK, r;

	if (inflateReset(&pack->z) != Z_OK)
		return -ENOMEM;
	while (status != Z_STREAM_END) {
		uint64_t room = entry->size - made;
		size_t before, out;

		r = fill(pack, err);
		if (r < 0)
			return r;
		before = pack->view_size - pack->used;
		pack->z.next_in = (uint8_t *)pack->view + pack->used;
		pack->z.avail_in = (uInt)before;
		/* when all is there, room for one byte more shows data that is too long */
		pack->z.next_out = data && room > 0 ? data + made : scratch;
		out = data && room > 0 ? (room < 1u << 30 ? (size_t)room : 1u << 30)
				       : sizeof(scratch);
		pack->z.avail_out = (uInt)out;
		status = inflate(&pack->z, Z_NO_FLUSH);
		use(pack, before - pack->z.avail_in);
		made += out - pack->z.avail_out;
		if ((status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) ||
		    made > entry->size)
			return pack_bad(err, "inflate returned %d",
					made > entry->size ? Z_BUF_ERROR : status);
	}
	if (made != entry->size)
		return pack_bad(err, "inflate returned %d", Z_BUF_ERROR);
	return 0;
}

/* Keep unpacked data for the second pass if there is room; takes it. */
static void keep(struct pack *pack, struct pack_entry *entry, uint8_t *data)
{
	if (entry->size > KEEP_ENTRY_BYTES ||
	    pack->kept_bytes + entry->size > KEEP_BYTES) {
		free(data);
		return;
	}
	entry->data = data;
	pack->kept_bytes += entry->size;
}

static int read_entry(struct pack *pack, struct error *err)
{
	struct pack_entry *entry;
	uint64_t made = 0;
	uint8_t *data;
	int r;

	r = pack_grow((void **)&pack->entries, pack->count, &pack->allocated,
		      sizeof(*pack->entries));
	if (r < 0)
		return r;
	entry = &pack->entries[pack->count];
	*entry = (struct pack_entry){ .offset = stream_offset(pack) };
	pack->crc = 0;
	r = read_type_and_size(pack, entry, err);
	if (r == 0)
		r = read_base(pack, entry, err);
	if (r == 0)
		r = pack_count_bytes(pack, entry->size, err);
	if (r < 0)
		return r;
	entry->header_size = (uint32_t)(stream_offset(pack) - entry->offset);
	if (!pack->plan)
		return inflate_stream(pack, entry, NULL, err);

	data = malloc(entry->size + 1);
	if (!data)
		return -ENOMEM;
	r = inflate_stream(pack, entry, data, err);
	data[entry->size] = '\0';
	entry->crc = pack->crc;
	pack->count++;
	if (r == 0 && entry->stored_type < PACK_OFS_DELTA)
		r = pack_object_known(pack, pack->count - 1,
				      (git_object_t)entry->stored_type, data, entry->size,
				      err);
	else if (r == 0 && pack_delta_size(data, entry->size, &made))
		r = pack_count_bytes(pack, made, err); /* before it is made */
	keep(pack, entry, data);
	return r;
}

static int read_trailer(struct pack *pack, uint8_t ret_digest[SHA1_SIZE],
			struct error *err)
{
	uint8_t stated[SHA1_SIZE];
	struct sha1 sha1;
	int r;

	r = flush_used(pack, err);
	if (r < 0)
		return r;
	sha1 = pack->sha1;
	sha1_end(&sha1, ret_digest);
	pack->file_is_whole = true; /* the checksum is added once it is final */
	r = take_bytes(pack, stated, sizeof(stated), err);
	if (r == 0)
		r = flush_used(pack, err);
	if (r < 0)
		return r;
	if (memcmp(stated, ret_digest, SHA1_SIZE) != 0)
		return pack_bad(err, "pack is corrupted (SHA1 mismatch)");
	return 0;
}

static int stream_begin(struct pack *pack, struct error *err)
{
	sha1_init(&pack->sha1);
	if (inflateInit(&pack->z) != Z_OK)
		return error_internal(err, -ENOMEM, "inflate");
	pack->z_ready = true;
	return read_header(pack, err);
}

int pack_skip(struct pktline_reader *in, uint64_t bytes, struct error *err)
{
	_cleanup_pack_ struct pack pack = { .in = in, .max_bytes = bytes, .fd = -EBADF };
	uint8_t digest[SHA1_SIZE];
	int r;

	r = stream_begin(&pack, err);
	for (uint32_t i = 0; r == 0 && i < pack.announced; i++)
		r = read_entry(&pack, err);
	if (r < 0)
		return r;
	return read_trailer(&pack, digest, err);
}

static int add_kind(struct oidset *set, const git_oid *oid, uint8_t kind)
{
	uint8_t *value = oidset_put(set, oid, NULL);

	if (!value)
		return -ENOMEM;
	*value |= kind;
	return 0;
}

int pack_object_known(struct pack *pack, uint32_t index, git_object_t type,
		      const void *data, size_t size, struct error *err)
{
	struct pack_entry *entry = &pack->entries[index];
	const struct pack_plan *plan = pack->plan;
	int r;

	entry->type = (uint8_t)type;
	if (git_odb_hash(&entry->oid, data, size, type) < 0)
		return pack_bad(err,
				"SHA1 COLLISION FOUND"); /* the library detects attacks */
	r = add_kind(&pack->result.have, &entry->oid, objcheck_kind(type));
	if (r < 0)
		return r;
	if (type == GIT_OBJECT_BLOB && lfs_is_pointer(data, size) &&
	    !oidset_put(&pack->result.pointers, &entry->oid, NULL))
		return -ENOMEM;
	if (plan->check && !objcheck_object(plan->check, &entry->oid, type, data, size))
		return pack_bad(err, "fsck error in packed object");
	if (plan->check && plan->check->no_memory)
		return -ENOMEM;
	r = objcheck_links(type, data, size, !oidset_has(plan->shallow, &entry->oid),
			   &pack->result.links);
	if (r == -ENOMEM)
		return r;
	pack->result.malformed = pack->result.malformed || r < 0;
	if (!pack->unpack ||
	    git_odb_exists_ext(plan->odb, &entry->oid, GIT_ODB_LOOKUP_NO_REFRESH))
		return 0;
	r = quarantine_write_loose(plan->quarantine, &entry->oid,
				   git_object_type2string(type), data, size);
	return r < 0 ? error_user(err, r, "DISK", "cannot write an object: %s",
				  strerror(-r))
		     : 0;
}

int pack_inflate(struct pack *pack, const struct pack_entry *entry, uint8_t **ret_data,
		 struct error *err)
{
	uint64_t from = entry->offset + entry->header_size;
	uint8_t *data = malloc(entry->size + 1);
	uint64_t left = entry->size, source = pack->map_size - from;
	int status = Z_OK;

	if (!data)
		return -ENOMEM;
	(void)inflateReset(&pack->z);
	pack->z.next_in = (uint8_t *)pack->map + from;
	pack->z.next_out = data;
	while (status == Z_OK) {
		uInt in = source < 1u << 30 ? (uInt)source : 1u << 30;
		uInt out = left < 1u << 30 ? (uInt)left + 1 : 1u << 30;

		pack->z.avail_in = in;
		pack->z.avail_out = out;
		status = inflate(&pack->z, Z_NO_FLUSH);
		source -= in - pack->z.avail_in;
		left -= out - pack->z.avail_out;
	}
	if (status != Z_STREAM_END || left != 0) {
		/* it was whole when it came in */
		free(data);
		return error_internal(err, -EIO, "read back the pack: inflate %d",
				      status);
	}
	data[entry->size] = '\0';
	*ret_data = data;
	return 0;
}

static int map_file(struct pack *pack, struct error *err)
{
	void *map;

	pack->map_size = pack->consumed - SHA1_SIZE;
	map = mmap(NULL, pack->map_size, PROT_READ, MAP_SHARED, pack->fd, 0);
	if (map == MAP_FAILED)
		return error_internal(err, -errno, "map the pack");
	pack->map = map;
	return 0;
}

static int take_in(struct pack *pack, uint8_t ret_digest[SHA1_SIZE], struct error *err)
{
	int r;

	r = stream_begin(pack, err);
	if (r < 0)
		return r;
	if (pack->announced > pack->plan->limits.objects)
		return pack_bad(err, "the pack has %u objects, more than the %u allowed",
				pack->announced, pack->plan->limits.objects);
	pack->unpack = pack->announced < pack->plan->limits.unpack_below;
	for (uint32_t i = 0; r == 0 && i < pack->announced; i++)
		r = read_entry(pack, err);
	if (r < 0)
		return r;
	r = read_trailer(pack, ret_digest, err);
	if (r < 0 || pack->count == 0)
		return r;
	r = map_file(pack, err);
	return r < 0 ? r : pack_resolve(pack, err);
}

int pack_receive(const struct pack_plan *plan, struct pack_result *ret_result,
		 struct error *err)
{
	_cleanup_pack_ struct pack pack = {
		.plan = plan,
		.in = plan->in,
		.max_bytes = plan->limits.bytes,
		.fd = -EBADF,
	};
	uint8_t digest[SHA1_SIZE];
	int r;

	pack.fd = openat(plan->quarantine->pack_fd, FILE_NAME,
			 O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (pack.fd < 0)
		return error_internal(err, -errno, "create the pack");
	r = take_in(&pack, digest, err);
	pack.result.objects = pack.announced;
	pack.result.unpacked = pack.unpack;
	if (r == 0 && pack.count > 0 && !pack.unpack)
		r = pack_finish(&pack, digest, err);
	else
		(void)unlinkat(plan->quarantine->pack_fd, FILE_NAME, 0);
	if (r == -ENOMEM && !error_is_set(err))
		(void)error_user(err, r, "OUT_OF_MEMORY",
				 "out of memory while taking in the pack");
	*ret_result = pack.result; /* counts also tell whoever reports a failure */
	pack.result = (struct pack_result){ 0 };
	return r;
}

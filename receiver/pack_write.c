/* The file side: bases appended to a thin pack, the final header and checksum, the index (version 2). */
#include "receiver/pack_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#define FILE_NAME "incoming.pack"

static void put_u32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
}

static size_t entry_header(uint8_t header[16], git_object_t type, uint64_t size)
{
	size_t n = 0;
	uint8_t c = (uint8_t)((unsigned)type << 4 | (size & 15));

	for (size >>= 4; size > 0; size >>= 7) {
		header[n++] = c | 0x80;
		c = size & 0x7f;
	}
	header[n++] = c;
	return n;
}

int pack_append(struct pack *pack, const git_oid *oid, git_object_t type,
		const void *data, size_t size, struct error *err)
{
	uLongf packed_size = compressBound(size);
	_cleanup_free_ uint8_t *packed = malloc(packed_size);
	struct pack_entry *entry;
	uint8_t header[16];
	size_t header_size;
	off_t end;
	int r;

	if (!packed || compress2(packed, &packed_size, data, size, Z_BEST_SPEED) != Z_OK)
		return -ENOMEM;
	r = pack_grow((void **)&pack->entries, pack->count, &pack->allocated,
		      sizeof(*pack->entries));
	if (r < 0)
		return r;
	end = lseek(pack->fd, 0, SEEK_END);
	if (end < 0)
		return error_internal(err, -errno, "seek in the pack");
	header_size = entry_header(header, type, size);
	r = io_write_all(pack->fd, header, header_size);
	if (r == 0)
		r = io_write_all(pack->fd, packed, packed_size);
	if (r < 0)
		return error_user(err, r, "DISK", "cannot write the pack: %s",
				  strerror(-r));

	entry = &pack->entries[pack->count++];
	*entry = (struct pack_entry){
		.oid = *oid,
		.offset = (uint64_t)end,
		.size = size,
		.header_size = (uint32_t)header_size,
		.stored_type = (uint8_t)type,
		.type = (uint8_t)type,
	};
	entry->crc = (uint32_t)crc32(0, header, (uInt)header_size);
	entry->crc = (uint32_t)crc32(entry->crc, packed, (uInt)packed_size);
	return 0;
}

/* The count in the header has grown, so the checksum is another one. */
static int hash_again(struct pack *pack, uint8_t ret_digest[SHA1_SIZE], struct error *err)
{
	uint8_t count[4];
	struct sha1 sha1;
	struct stat st;
	void *map;

	put_u32(count, pack->count);
	if (pwrite(pack->fd, count, sizeof(count), 8) != sizeof(count) ||
	    fstat(pack->fd, &st) < 0)
		return error_internal(err, -errno, "complete the pack");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, pack->fd, 0);
	if (map == MAP_FAILED)
		return error_internal(err, -errno, "map the pack");
	sha1_init(&sha1);
	sha1_add(&sha1, map, (size_t)st.st_size);
	sha1_end(&sha1, ret_digest);
	(void)munmap(map, (size_t)st.st_size);
	return 0;
}

static int by_oid(const void *a, const void *b)
{
	const struct pack_entry *x = a, *y = b;

	return git_oid_cmp(&x->oid, &y->oid);
}

static void append_u32(struct strbuf *out, uint32_t value)
{
	uint8_t bytes[4];

	put_u32(bytes, value);
	strbuf_append(out, bytes, sizeof(bytes));
}

static void append_fanout(const struct pack *pack, struct strbuf *out)
{
	uint32_t n = 0;

	for (unsigned first = 0; first < 256; first++) {
		while (n < pack->count && pack->entries[n].oid.id[0] <= first)
			n++;
		append_u32(out, n);
	}
}

static void append_offsets(const struct pack *pack, struct strbuf *out)
{
	uint32_t large = 0;

	for (uint32_t i = 0; i < pack->count; i++) {
		uint64_t offset = pack->entries[i].offset;

		append_u32(out, offset < 0x80000000u ? (uint32_t)offset
						     : 0x80000000u | large++);
	}
	for (uint32_t i = 0; i < pack->count; i++) {
		uint64_t offset = pack->entries[i].offset;

		if (offset < 0x80000000u)
			continue;
		append_u32(out, (uint32_t)(offset >> 32));
		append_u32(out, (uint32_t)offset);
	}
}

static int write_index(struct pack *pack, const uint8_t digest[SHA1_SIZE],
		       const char *name, struct error *err)
{
	static const uint8_t magic[8] = { 0xff, 't', 'O', 'c', 0, 0, 0, 2 };
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_close_ int fd = -EBADF;
	uint8_t own[SHA1_SIZE];
	struct sha1 sha1;
	int r;

	strbuf_append(&out, magic, sizeof(magic));
	append_fanout(pack, &out);
	for (uint32_t i = 0; i < pack->count; i++)
		strbuf_append(&out, pack->entries[i].oid.id, GIT_OID_RAWSZ);
	for (uint32_t i = 0; i < pack->count; i++)
		append_u32(&out, pack->entries[i].crc);
	append_offsets(pack, &out);
	strbuf_append(&out, digest, SHA1_SIZE);
	if (strbuf_failed(&out))
		return -ENOMEM;
	sha1_init(&sha1);
	sha1_add(&sha1, out.data, out.size);
	sha1_end(&sha1, own);
	strbuf_append(&out, own, sizeof(own));
	if (strbuf_failed(&out))
		return -ENOMEM;

	fd = openat(pack->plan->quarantine->pack_fd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return error_internal(err, -errno, "create the index");
	r = io_write_all(fd, out.data, out.size);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? error_user(err, r, "DISK", "cannot write the index: %s",
				  strerror(-r))
		     : 0;
}

int pack_finish(struct pack *pack, const uint8_t received[SHA1_SIZE], struct error *err)
{
	_cleanup_free_ char *idx = NULL, *final = NULL;
	uint8_t digest[SHA1_SIZE];
	char hex[GIT_OID_HEXSZ + 1];
	git_oid oid;
	int r;

	memcpy(digest, received, SHA1_SIZE);
	r = pack->result.borrowed > 0 ? hash_again(pack, digest, err) : 0;
	if (r < 0)
		return r;
	if (lseek(pack->fd, 0, SEEK_END) < 0)
		return error_internal(err, -errno, "seek in the pack");
	r = io_write_all(pack->fd, digest, SHA1_SIZE);
	if (r == 0 && fsync(pack->fd) < 0)
		r = -errno;
	if (r < 0)
		return error_user(err, r, "DISK", "cannot write the pack: %s",
				  strerror(-r));

	memcpy(oid.id, digest, SHA1_SIZE);
	(void)git_oid_tostr(hex, sizeof(hex), &oid);
	idx = str_format("pack-%s.idx", hex);
	final = str_format("pack-%s.pack", hex);
	pack->result.name = strdup(hex);
	if (!idx || !final || !pack->result.name)
		return -ENOMEM;
	qsort(pack->entries, pack->count, sizeof(*pack->entries), by_oid);
	r = write_index(pack, digest, idx, err);
	if (r < 0)
		return r;
	if (renameat(pack->plan->quarantine->pack_fd, FILE_NAME,
		     pack->plan->quarantine->pack_fd, final) < 0)
		return error_internal(err, -errno, "name the pack");
	return 0;
}

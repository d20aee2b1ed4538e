/*
 * Pack files mapped read-only. Keeps true: no offset that comes from a file is used before it was compared
 * with the size of that file. An object that looks wrong here is reported as absent, and the caller reads
 * it through libgit2, which says what is the matter.
 */
#include "receiver/packs.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/str.h"

#define OID_SIZE 20
#define FANOUT_AT 8
#define NAMES_AT (FANOUT_AT + 256 * 4)
#define TRAILER_SIZE (2 * OID_SIZE)
#define PACK_HEADER_SIZE 12

struct position {
	uint64_t offset;
	uint32_t index; /* in the order of names */
};

struct pack {
	uint8_t *index;
	size_t index_size;
	uint8_t *data;
	size_t size;
	uint32_t count;
	struct position *order; /* by offset; made when first needed */
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void pack_done(struct pack *pack)
{
	if (pack->index)
		(void)munmap(pack->index, pack->index_size);
	if (pack->data)
		(void)munmap(pack->data, pack->size);
	free(pack->order);
	*pack = (struct pack){ 0 };
}

static uint8_t *map_file(int dir_fd, const char *name, size_t *ret_size)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	*ret_size = (size_t)st.st_size;
	return p;
}

/* Has the index the size and shape that its count of objects asks for? */
static bool index_is_good(struct pack *pack)
{
	static const uint8_t magic[] = { 0xff, 't', 'O', 'c', 0, 0, 0, 2 };
	uint32_t before = 0;

	if (pack->index_size < NAMES_AT + TRAILER_SIZE ||
	    memcmp(pack->index, magic, sizeof(magic)) != 0)
		return false;
	for (size_t i = 0; i < 256; i++) {
		uint32_t n = be32(pack->index + FANOUT_AT + i * 4);

		if (n < before)
			return false;
		before = n;
	}
	pack->count = before;
	return (pack->index_size - NAMES_AT - TRAILER_SIZE) / (OID_SIZE + 8) >= before;
}

static bool data_is_good(const struct pack *pack)
{
	return pack->size >= PACK_HEADER_SIZE + OID_SIZE &&
	       memcmp(pack->data, "PACK\0\0\0\2", 8) == 0 &&
	       be32(pack->data + 8) == pack->count;
}

/* Returns true with *ret_pack for pack-NAME.idx and its .pack. */
static bool pack_open(int dir_fd, const char *name, struct pack *ret_pack)
{
	_cleanup_(pack_done) struct pack pack = { 0 };
	_cleanup_free_ char *data_name = NULL;

	data_name = str_format("%.*s.pack", (int)(strlen(name) - strlen(".idx")), name);
	if (!data_name)
		return false;
	pack.index = map_file(dir_fd, name, &pack.index_size);
	if (!pack.index || !index_is_good(&pack))
		return false;
	pack.data = map_file(dir_fd, data_name, &pack.size);
	if (!pack.data || !data_is_good(&pack))
		return false;

	*ret_pack = pack;
	pack = (struct pack){ 0 };
	return true;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int packs_open(int repo_fd, struct packs *ret_packs)
{
	_cleanup_packs_ struct packs packs = { 0 };
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int fd;

	fd = openat(repo_fd, "objects/pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;

		fd_close(fd);
		return r;
	}

	while ((entry = readdir(dir))) {
		struct pack *grown;

		if (!str_after_prefix(entry->d_name, "pack-") ||
		    !str_has_suffix(entry->d_name, ".idx"))
			continue;
		grown = reallocarray(packs.list, packs.count + 1, sizeof(*packs.list));
		if (!grown)
			return -ENOMEM;
		packs.list = grown;
		if (pack_open(dirfd(dir), entry->d_name, &packs.list[packs.count]))
			packs.count++;
	}
	*ret_packs = packs;
	packs = (struct packs){ 0 };
	return 0;
}

void packs_done(struct packs *packs)
{
	for (size_t i = 0; i < packs->count; i++)
		pack_done(&packs->list[i]);
	free(packs->list);
	*packs = (struct packs){ 0 };
}

static const uint8_t *name_at(const struct pack *pack, uint32_t i)
{
	return pack->index + NAMES_AT + (size_t)i * OID_SIZE;
}

/* The offset of the ith object, 0 when the index does not tell a good one. */
static uint64_t offset_at(const struct pack *pack, uint32_t i)
{
	size_t table = NAMES_AT + (size_t)pack->count * (OID_SIZE + 4);
	size_t large = table + (size_t)pack->count * 4;
	uint64_t offset = be32(pack->index + table + (size_t)i * 4);

	if (offset & 0x80000000u) {
		size_t at = large + (size_t)(offset & 0x7fffffffu) * 8;

		if (at + 8 > pack->index_size - TRAILER_SIZE)
			return 0;
		offset = (uint64_t)be32(pack->index + at) << 32 |
			 be32(pack->index + at + 4);
	}
	return offset < PACK_HEADER_SIZE || offset >= pack->size - OID_SIZE ? 0 : offset;
}

static uint32_t checksum_at(const struct pack *pack, uint32_t i)
{
	return be32(pack->index + NAMES_AT + (size_t)pack->count * OID_SIZE +
		    (size_t)i * 4);
}

static bool pack_lookup(const struct pack *pack, const git_oid *oid, uint32_t *ret_index)
{
	const uint8_t *fanout = pack->index + FANOUT_AT;
	uint32_t high = be32(fanout + (size_t)oid->id[0] * 4);
	uint32_t low = oid->id[0] ? be32(fanout + ((size_t)oid->id[0] - 1) * 4) : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = memcmp(oid->id, name_at(pack, middle), OID_SIZE);

		if (c == 0) {
			*ret_index = middle;
			return true;
		}
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static int compare_positions(const void *a, const void *b)
{
	const struct position *p = a, *q = b;

	return p->offset < q->offset ? -1 : p->offset > q->offset;
}

static int pack_order(struct pack *pack)
{
	if (pack->order || pack->count == 0)
		return 0;
	pack->order = calloc(pack->count, sizeof(*pack->order));
	if (!pack->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < pack->count; i++)
		pack->order[i] =
			(struct position){ .offset = offset_at(pack, i), .index = i };
	qsort(pack->order, pack->count, sizeof(*pack->order), compare_positions);
	return 0;
}

/* Which object begins at offset? NULL: none. */
static const struct position *pack_at(const struct pack *pack, uint64_t offset)
{
	const struct position key = { .offset = offset };

	return bsearch(&key, pack->order, pack->count, sizeof(key), compare_positions);
}

/* Behind the last byte of the object at `here`. */
static uint64_t pack_end(const struct pack *pack, const struct position *here)
{
	const struct position *next = here + 1;

	return next < pack->order + pack->count ? next->offset : pack->size - OID_SIZE;
}

/* Read the base of a delta behind its size; returns the bytes read, 0 when it is not good. */
static size_t read_base(const struct pack *pack, const struct position *here,
			const uint8_t *p, size_t size, struct pack_entry *entry)
{
	const struct position *base;
	uint64_t distance;
	size_t n = 0;

	if (entry->type == PACK_REF_DELTA) {
		if (size < OID_SIZE)
			return 0;
		memcpy(entry->base.id, p, OID_SIZE);
		return OID_SIZE;
	}

	if (size == 0)
		return 0;
	distance = p[n] & 0x7f;
	while (p[n++] & 0x80) {
		if (n == size || distance > UINT64_MAX >> 8)
			return 0;
		distance = (distance + 1) << 7 | (p[n] & 0x7f);
	}
	if (distance == 0 || distance >= here->offset)
		return 0;
	base = pack_at(pack, here->offset - distance);
	if (!base)
		return 0;
	memcpy(entry->base.id, name_at(pack, base->index), OID_SIZE);
	return n;
}

static bool read_entry(const struct pack *pack, const struct position *here,
		       struct pack_entry *ret_entry)
{
	const uint8_t *p = pack->data + here->offset;
	size_t size = (size_t)(pack_end(pack, here) - here->offset), n = 0;
	struct pack_entry entry = { 0 };
	unsigned int shift = 4;

	if (size == 0)
		return false;

	entry.type = (enum pack_type)(p[0] >> 4 & 7);
	entry.size = p[0] & 15;
	while (p[n++] & 0x80) {
		if (n == size || shift > 57)
			return false;
		entry.size |= (uint64_t)(p[n] & 0x7f) << shift;
		shift += 7;
	}
	if (entry.type == PACK_OFS_DELTA || entry.type == PACK_REF_DELTA) {
		size_t used = read_base(pack, here, p + n, size - n, &entry);

		if (used == 0)
			return false;
		entry.delta = true;
		n += used;
	} else if (entry.type < PACK_COMMIT || entry.type > PACK_TAG) {
		return false;
	}
	entry.data = p + n;
	entry.data_size = size - n;
	entry.raw = p;
	entry.raw_size = size;
	entry.checksum = checksum_at(pack, here->index);
	*ret_entry = entry;
	return true;
}

int packs_find(struct packs *packs, const git_oid *oid, struct pack_entry *ret_entry)
{
	for (size_t i = 0; i < packs->count; i++) {
		size_t which = (packs->last + i) % packs->count;
		struct pack *pack = &packs->list[which];
		const struct position *here;
		uint32_t index;

		if (!pack_lookup(pack, oid, &index))
			continue;
		if (pack_order(pack) < 0)
			return -ENOMEM;
		here = pack_at(pack, offset_at(pack, index));
		if (!here || here->offset == 0 || !read_entry(pack, here, ret_entry))
			continue;
		packs->last = which;
		return 1;
	}
	return 0;
}

bool pack_entry_is_whole(const struct pack_entry *entry)
{
	return crc32_z(crc32_z(0, NULL, 0), entry->raw, entry->raw_size) ==
	       entry->checksum;
}

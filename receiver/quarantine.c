/* zlib then takes input that is const */
#define ZLIB_CONST
#include "receiver/quarantine.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <zlib.h>

#include <git2/odb.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define PREFIX "incoming-"
#define RANDOM_DIGITS 12

/* Work of each kind of entry in a directory. */
typedef int each_entry(struct quarantine *q, int dir_fd, const char *name);

static int for_each(struct quarantine *q, int parent_fd, const char *path, each_entry *fn)
{
	struct dirent *entry;
	int r = 0, fd;
	DIR *dir;

	fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (r >= 0 && (entry = fs_next_entry(dir, &r)))
		if (entry->d_name[0] != '.')
			r = fn(q, dirfd(dir), entry->d_name);
	closedir(dir);
	return r;
}

/* What could not be removed is swept by a later push. */
static void discard(int dir_fd, const char *name)
{
	int r = fs_remove_tree_at(dir_fd, name);

	if (r < 0)
		log_debug("cannot remove %s (%s), ignoring", name, strerror(-r));
}

/* git's own quarantines have other names; it sweeps them itself. */
static bool is_ours(const char *name)
{
	const char *random = str_after_prefix(name, PREFIX);

	return random && strlen(random) == RANDOM_DIGITS &&
	       strspn(random, "0123456789abcdef") == RANDOM_DIGITS;
}

/* Every process holds a lock on its quarantine; the kernel gives it back however the process ends. */
static int sweep_one(struct quarantine *q, int dir_fd, const char *name)
{
	_cleanup_close_ int fd = -EBADF;

	(void)q;
	if (!is_ours(name))
		return 0;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		discard(dir_fd, name);
	return 0;
}

/*
 * Open and lock a directory made a moment ago. Returns 1, 0 when another process has taken it for a dead one's
 * before it was locked, or a negative errno value.
 */
static int claim_directory(struct quarantine *q)
{
	_cleanup_close_ int fd = openat(q->store->objects_fd, q->name,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0)
		return 0;
	q->fd = TAKE_FD(fd);
	return 1;
}

static int make_directory(struct quarantine *q)
{
	uint64_t random = 0;
	int r = -EEXIST;

	for (int tries = 0; tries < 16; tries++) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		free(q->name);
		q->name = str_format(PREFIX "%0*llx", RANDOM_DIGITS,
				     (unsigned long long)random & 0xffffffffffffULL);
		if (!q->name)
			return -ENOMEM;
		if (mkdirat(q->store->objects_fd, q->name, 0700) == 0)
			r = claim_directory(q);
		else
			r = errno == EEXIST ? 0 : -errno;
		if (r != 0)
			break;
	}
	if (r > 0)
		return 0;
	q->name = (free(q->name), NULL);
	return r < 0 ? r : -EEXIST;
}

static int make_inside(struct quarantine *q)
{
	if (mkdirat(q->fd, "pack", 0700) < 0)
		return -errno;
	q->pack_fd = openat(q->fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return q->pack_fd < 0 ? -errno : 0;
}

int quarantine_open(struct store *store, struct quarantine *ret_quarantine,
		    struct error *err)
{
	_cleanup_quarantine_ struct quarantine q = { .store = store,
						     .fd = -EBADF,
						     .pack_fd = -EBADF };
	int r;

	(void)for_each(&q, store->objects_fd, ".", sweep_one); /* best effort */
	r = make_directory(&q);
	if (r == 0)
		r = make_inside(&q);
	if (r < 0)
		return error_internal(err, r,
				      "unable to create temporary object directory");

	*ret_quarantine = q;
	q = (struct quarantine){ .fd = -EBADF, .pack_fd = -EBADF };
	return 0;
}

void quarantine_done(struct quarantine *q)
{
	if (q->name)
		discard(q->store->objects_fd, q->name);
	q->pack_fd = fd_close(q->pack_fd);
	q->fd = fd_close(q->fd); /* and with it the lock */
	free(q->name);
	q->name = NULL;
}

static int deflate_object(const char *header, size_t header_size, const void *data,
			  size_t size, struct strbuf *out)
{
	unsigned char chunk[16384];
	z_stream z = { 0 };
	int r;

	if (deflateInit(&z, Z_BEST_SPEED) != Z_OK)
		return -ENOMEM;
	z.next_in = (const unsigned char *)header;
	z.avail_in = (uInt)header_size;
	for (bool body = false;;) {
		int flush = body && size == 0 ? Z_FINISH : Z_NO_FLUSH;

		z.next_out = chunk;
		z.avail_out = sizeof(chunk);
		r = deflate(&z, flush);
		strbuf_append(out, chunk, sizeof(chunk) - z.avail_out);
		if (r == Z_STREAM_END)
			break;
		if (z.avail_in == 0 && !(body && size == 0)) {
			/* avail_in has 32 bits, size may not fit */
			size_t n = size < (1u << 30) ? size : 1u << 30;

			z.next_in = data;
			z.avail_in = (uInt)n;
			data = (const uint8_t *)data + n;
			size -= n;
			body = true;
		}
	}
	(void)deflateEnd(&z);
	return strbuf_failed(out) ? -ENOMEM : 0;
}

int quarantine_write_loose(struct quarantine *q, const git_oid *oid, const char *type,
			   const void *data, size_t size)
{
	_cleanup_free_ char *header = str_format("%s %zu", type, size);
	_cleanup_strbuf_ struct strbuf out = { 0 };
	char path[GIT_OID_HEXSZ + 2], hex[GIT_OID_HEXSZ + 1];
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!header)
		return -ENOMEM;
	(void)git_oid_tostr(hex, sizeof(hex), oid);
	(void)snprintf(path, sizeof(path), "%.2s/%s", hex, hex + 2);
	r = deflate_object(header, strlen(header) + 1, data, size, &out);
	if (r < 0)
		return r;

	fd = openat(q->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0 && errno == ENOENT) {
		hex[2] = '\0';
		if (mkdirat(q->fd, hex, 0777) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(q->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	}
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno; /* the pack had it twice */
	r = io_write_all(fd, out.data, out.size);
	/* begin to write now, so that the flush at migration finds it done */
	if (r == 0)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return r;
}

static bool is_fanout(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static int sync_file(struct quarantine *q, int dir_fd, const char *name)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	(void)q;
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int sync_fanout(struct quarantine *q, int dir_fd, const char *name)
{
	return is_fanout(name) ? for_each(q, dir_fd, name, sync_file) : 0;
}

/* Move one object; another push may have brought it meanwhile, which is as good. */
static int move_file(struct quarantine *q, int dir_fd, const char *name, int to_fd)
{
	(void)q;
	return renameat(dir_fd, name, to_fd, name) < 0 ? -errno : 0;
}

static int move_fanout(struct quarantine *q, int dir_fd, const char *name)
{
	_cleanup_close_ int from_fd = -EBADF, to_fd = -EBADF;
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	if (!is_fanout(name))
		return 0;
	if (mkdirat(q->store->objects_fd, name, 0777) == 0)
		q->made_directories = true;
	else if (errno != EEXIST)
		return -errno;
	to_fd = openat(q->store->objects_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	from_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to_fd < 0 || from_fd < 0)
		return -errno;
	dir = fdopendir(from_fd);
	if (!dir)
		return -errno;
	from_fd = -EBADF; /* the stream owns it */
	while (r == 0 && (entry = fs_next_entry(dir, &r)))
		if (entry->d_name[0] != '.')
			r = move_file(q, dirfd(dir), entry->d_name, to_fd);
	closedir(dir);
	if (r == 0 && fsync(to_fd) < 0)
		r = -errno;
	return r;
}

static int open_pack_directory(struct quarantine *q)
{
	int fd;

	if (mkdirat(q->store->objects_fd, "pack", 0777) == 0)
		q->made_directories = true;
	else if (errno != EEXIST)
		return -errno;
	fd = openat(q->store->objects_fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int move_suffix(struct quarantine *q, int to_fd, const char *suffix,
		       bool *ret_moved)
{
	_cleanup_close_ int fd = dup(q->pack_fd);
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -EBADF; /* the stream owns it */
	rewinddir(dir);
	while (r == 0 && (entry = fs_next_entry(dir, &r))) {
		if (!str_has_suffix(entry->d_name, suffix))
			continue;
		r = move_file(q, q->pack_fd, entry->d_name, to_fd);
		*ret_moved = true;
	}
	closedir(dir);
	return r;
}

static int migrate(struct quarantine *q)
{
	_cleanup_close_ int pack_fd = -EBADF;
	bool moved = false;
	int r;

	r = for_each(q, q->fd, ".", sync_fanout);
	if (r < 0)
		return r;
	r = for_each(q, q->fd, ".", move_fanout);
	if (r < 0)
		return r;
	pack_fd = open_pack_directory(q);
	if (pack_fd < 0)
		return pack_fd;
	r = move_suffix(q, pack_fd, ".pack", &moved);
	if (r == 0)
		r = move_suffix(q, pack_fd, ".idx", &moved);
	if (r == 0 && moved && fsync(pack_fd) < 0)
		r = -errno;
	if (r == 0 && q->made_directories && fsync(q->store->objects_fd) < 0)
		r = -errno;
	return r;
}

int quarantine_migrate(struct quarantine *q, struct error *err)
{
	int r = q->name ? migrate(q) : 0;

	return r < 0 ? error_internal(err, r,
				      "unable to migrate objects to permanent storage")
		     : 0;
}

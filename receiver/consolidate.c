/*
 * All objects into one pack. Pushes go on meanwhile: they only add; the lock is held for the
 * removal. Readers that have an old pack open keep it (the file lives as long as they map it)
 * and find the new one when they look again. Removed is only what was counted before the new
 * pack was begun: loose objects one by one, if the new pack has them; packs as a whole, because
 * the new one holds all objects there were, and writing it fails when one cannot be read.
 */
#include "receiver/upkeep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <git2/errors.h>
#include <git2/odb.h>
#include <git2/odb_backend.h>
#include <git2/pack.h>
#include <git2/repository.h>

#include "base/fs.h"
#include "base/str.h"
#include "receiver/oidset.h"
#include "receiver/store.h"

#define PACKS_MAX 50
#define LOOSE_MAX 2000

struct census {
	int objects_fd;
	struct oidset loose;
	char **packs; /* "pack-X" without suffix */
	size_t pack_count;
	bool kept; /* a .keep file says: not this one */
};

static void census_done(struct census *census)
{
	for (size_t i = 0; i < census->pack_count; i++)
		free(census->packs[i]);
	free(census->packs);
	oidset_done(&census->loose);
}
#define _cleanup_census_ _cleanup_(census_done)

static int count_fanout(struct census *census, const char *fanout)
{
	struct dirent *entry;
	int r = 0, fd;
	DIR *dir;

	fd = openat(census->objects_fd, fanout, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = fs_next_entry(dir, &r))) {
		char hex[GIT_OID_HEXSZ + 1];
		git_oid oid;

		if (strlen(entry->d_name) != GIT_OID_HEXSZ - 2)
			continue;
		(void)snprintf(hex, sizeof(hex), "%.2s%.38s", fanout, entry->d_name);
		if (git_oid_fromstr(&oid, hex) == 0 &&
		    !oidset_put(&census->loose, &oid, NULL))
			r = -ENOMEM;
	}
	closedir(dir);
	return r;
}

static int add_pack(struct census *census, int pack_fd, const char *file)
{
	_cleanup_free_ char *name = strndup(file, strlen(file) - 4);
	_cleanup_free_ char *keep = name ? str_format("%s.keep", name) : NULL;
	char **packs;

	if (!keep)
		return -ENOMEM;
	if (faccessat(pack_fd, keep, F_OK, 0) == 0)
		return 0;
	packs = reallocarray(census->packs, census->pack_count + 1, sizeof(*packs));
	if (!packs)
		return -ENOMEM;
	census->packs = packs;
	packs[census->pack_count++] = TAKE_PTR(name);
	return 0;
}

static int count_packs(struct census *census)
{
	struct dirent *entry;
	int r = 0, fd;
	DIR *dir;

	fd = openat(census->objects_fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = fs_next_entry(dir, &r)))
		if (str_has_suffix(entry->d_name, ".idx"))
			r = add_pack(census, dirfd(dir), entry->d_name);
	closedir(dir);
	return r;
}

static int take_census(struct census *census)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 256; i++) {
		char fanout[3];

		(void)snprintf(fanout, sizeof(fanout), "%02x", i);
		r = count_fanout(census, fanout);
	}
	return r == 0 ? count_packs(census) : r;
}

static int insert(const git_oid *oid, void *userdata)
{
	return git_packbuilder_insert(userdata, oid, NULL);
}

static int library_failed(struct error *err, const char *what)
{
	return error_internal(err, -EIO, "%s: %s", what,
			      git_error_last() ? git_error_last()->message : "?");
}

/* Write the new pack. *ret_name is its file name without suffix. */
static int write_pack(const struct store *store, char **ret_name, struct error *err)
{
	_cleanup_free_ char *directory = str_format("%s/objects/pack", store->path);
	git_repository *repository = NULL;
	git_packbuilder *builder = NULL;
	int r = 0;

	if (!directory)
		return -ENOMEM;
	if (git_repository_open_bare(&repository, store->path) < 0)
		return library_failed(err, "open the repository");
	if (git_packbuilder_new(&builder, repository) < 0)
		r = library_failed(err, "begin a pack");
	else if (git_odb_foreach(store->odb, insert, builder) < 0)
		r = library_failed(err, "gather objects");
	else if (git_packbuilder_write(builder, directory, 0444, NULL, NULL) < 0)
		r = library_failed(err, "write the pack");
	if (r == 0) {
		*ret_name = str_format("pack-%s", git_packbuilder_name(builder));
		r = *ret_name ? 0 : -ENOMEM;
	}
	git_packbuilder_free(builder);
	git_repository_free(repository);
	return r;
}

static void remove_packs(const struct census *census, const char *except)
{
	static const char *const suffixes[] = { ".idx", ".pack", ".rev", ".bitmap",
						".mtimes" };
	_cleanup_close_ int fd =
		openat(census->objects_fd, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* the index names all packs, so it would be wrong */
	(void)unlinkat(fd, "multi-pack-index", 0);
	for (size_t i = 0; i < census->pack_count; i++) {
		if (str_equal(census->packs[i], except))
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(suffixes); j++) {
			_cleanup_free_ char *file =
				str_format("%s%s", census->packs[i], suffixes[j]);

			if (file)
				(void)unlinkat(fd, file, 0); /* tried again next time */
		}
	}
}

/* Only what the new pack has: its own object database, not the repository's, is asked. */
static void remove_loose(const struct census *census, git_odb *packed)
{
	const struct oidset_slot *slot;
	size_t at = 0;

	while ((slot = oidset_next(&census->loose, &at))) {
		char hex[GIT_OID_HEXSZ + 1], path[GIT_OID_HEXSZ + 2];

		if (!git_odb_exists_ext(packed, &slot->oid, GIT_ODB_LOOKUP_NO_REFRESH))
			continue;
		(void)git_oid_tostr(hex, sizeof(hex), &slot->oid);
		(void)snprintf(path, sizeof(path), "%.2s/%s", hex, hex + 2);
		(void)unlinkat(census->objects_fd, path, 0); /* tried again next time */
	}
}

static int replace(const struct store *store, const struct census *census,
		   struct error *err)
{
	_cleanup_free_ char *name = NULL, *idx = NULL;
	git_odb_backend *backend = NULL;
	_cleanup_close_ int lock = -EBADF;
	git_odb *packed = NULL;
	int r;

	r = write_pack(store, &name, err);
	if (r < 0)
		return r;
	idx = str_format("%s/objects/pack/%s.idx", store->path, name);
	if (!idx)
		return -ENOMEM;
	lock = store_lock(store);
	if (lock < 0)
		return error_internal(err, lock, "lock %s", store->path);
	if (git_odb_new(&packed) < 0 || git_odb_backend_one_pack(&backend, idx) < 0 ||
	    git_odb_add_backend(packed, backend, 1) < 0) {
		git_odb_free(packed);
		return library_failed(err, "open the new pack");
	}
	remove_loose(census, packed);
	remove_packs(census, name);
	git_odb_free(packed);
	return 1;
}

int upkeep_consolidate(const char *path, struct error *err)
{
	_cleanup_store_ struct store store = { .fd = -EBADF, .objects_fd = -EBADF };
	_cleanup_census_ struct census census = { 0 };
	_cleanup_close_ int lock = -EBADF;
	int r;

	r = store_open(path, &store, err);
	if (r < 0)
		return r;
	lock = store_lock_consolidation(&store);
	if (lock == -EWOULDBLOCK)
		return 0;
	if (lock < 0)
		return error_internal(err, lock, "lock %s", path);
	census.objects_fd = store.objects_fd;
	r = take_census(&census);
	if (r < 0)
		return error_internal(err, r, "count the objects of %s", path);
	if (census.pack_count <= PACKS_MAX && census.loose.count <= LOOSE_MAX)
		return 0;
	return replace(&store, &census, err);
}

bool upkeep_may_be_due(const char *path)
{
	_cleanup_free_ char *objects = str_format("%s/objects", path);
	_cleanup_close_ int fd = -EBADF;
	struct census sample = { 0 };
	bool due;

	if (objects)
		fd = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	sample.objects_fd = fd;
	/* loose objects spread evenly: one directory in 256 tells */
	due = count_fanout(&sample, "17") < 0 || count_packs(&sample) < 0 ||
	      sample.loose.count > LOOSE_MAX / 256 || sample.pack_count >= PACKS_MAX;
	census_done(&sample);
	return due;
}

#include "receiver/store.h"

#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

#include <git2/config.h>
#include <git2/errors.h>

#include "base/fs.h"
#include "base/str.h"

/* What is read of REPO/shallow; no more is written. */
#define SHALLOW_MAX (16u << 20)
#define SHALLOW_LINE (GIT_OID_HEXSZ + 1)
#define UNPACK_BELOW 100

void store_done(struct store *store)
{
	git_odb_free(store->odb);
	free(store->path);
	store->fd = fd_close(store->fd);
	store->objects_fd = fd_close(store->objects_fd);
	oidset_done(&store->shallow);
}

static bool get_bool(const git_config *config, const char *key, bool otherwise)
{
	int value = 0;

	return git_config_get_bool(&value, config, key) == 0 ? value != 0 : otherwise;
}

/* false, ignore and warn let the current branch be deleted; git refuses by default. */
static bool allows_delete_current(git_config *config)
{
	git_buf text = { 0 };
	int flag = 0;
	bool allows = false;

	if (git_config_get_string_buf(&text, config, "receive.denydeletecurrent") == 0)
		allows = strcasecmp(text.ptr, "ignore") == 0 ||
			 strcasecmp(text.ptr, "warn") == 0 ||
			 (git_config_parse_bool(&flag, text.ptr) == 0 && !flag);
	git_buf_dispose(&text);
	return allows;
}

static void read_settings(git_config *config, struct store_settings *ret)
{
	int64_t n = 0;

	*ret = (struct store_settings){
		.deny_deletes = get_bool(config, "receive.denydeletes", false),
		.deny_non_fast_forward =
			get_bool(config, "receive.denynonfastforwards", false),
		.allow_delete_current = allows_delete_current(config),
		.fsck = get_bool(config, "receive.fsckobjects",
				 get_bool(config, "transfer.fsckobjects", false)),
		.push_options = get_bool(config, "receive.advertisepushoptions", false),
		.no_atomic = !get_bool(config, "receive.advertiseatomic", true),
		.no_ofs_delta = !get_bool(config, "repack.usedeltabaseoffset", true),
		.unpack_below = UNPACK_BELOW,
	};
	if (git_config_get_int64(&n, config, "receive.maxinputsize") == 0 && n > 0)
		ret->max_input = (uint64_t)n;
	if (git_config_get_int64(&n, config, "transfer.unpacklimit") == 0 ||
	    git_config_get_int64(&n, config, "receive.unpacklimit") == 0)
		ret->unpack_below = n < 0           ? UNPACK_BELOW
				    : n > INT32_MAX ? INT32_MAX
						    : (uint32_t)n;
}

static int load_settings(struct store *store, struct error *err)
{
	_cleanup_free_ char *path = str_format("%s/config", store->path);
	git_config *config = NULL;

	if (!path)
		return -ENOMEM;
	store->settings = (struct store_settings){ .unpack_below = UNPACK_BELOW };
	if (faccessat(store->fd, "config", R_OK, 0) < 0)
		return 0;
	if (git_config_open_ondisk(&config, path) < 0)
		return error_user(err, -EINVAL, "GIT_CONFIG", "bad config file %s: %s",
				  path,
				  git_error_last() ? git_error_last()->message : "?");
	read_settings(config, &store->settings);
	git_config_free(config);
	return 0;
}

static int load_shallow(struct store *store)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r;

	r = fs_read_at(store->fd, "shallow", SHALLOW_MAX, &data, &size);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (const char *p = data, *end = data + size; end - p >= GIT_OID_HEXSZ;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		git_oid oid;

		if (git_oid_fromstrn(&oid, p, GIT_OID_HEXSZ) == 0 &&
		    !oidset_put(&store->shallow, &oid, NULL))
			return -ENOMEM;
		p = eol ? eol + 1 : end;
	}
	return 0;
}

static int open_objects(struct store *store, struct error *err)
{
	_cleanup_free_ char *path = str_format("%s/objects", store->path);

	if (!path)
		return -ENOMEM;
	store->objects_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->objects_fd < 0)
		return error_internal(err, -errno, "open %s", path);
	if (git_odb_open(&store->odb, path) < 0)
		return error_internal(err, -EIO, "open objects of %s", store->path);
	return 0;
}

int store_open(const char *path, struct store *ret_store, struct error *err)
{
	_cleanup_store_ struct store store = { .fd = -EBADF, .objects_fd = -EBADF };
	int r;

	store.path = realpath(path, NULL);
	if (store.path)
		store.fd = open(store.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store.fd < 0 || faccessat(store.fd, "HEAD", R_OK, 0) < 0 ||
	    faccessat(store.fd, "refs", R_OK, 0) < 0 ||
	    faccessat(store.fd, "objects", R_OK | X_OK, 0) < 0)
		return error_user(err, -ENOENT, "NOT_A_REPOSITORY",
				  "'%s' does not appear to be a git repository", path);

	r = open_objects(&store, err);
	if (r < 0)
		return r;
	r = load_settings(&store, err);
	if (r < 0)
		return r;
	r = load_shallow(&store);
	if (r < 0)
		return error_internal(err, r, "read %s/shallow", store.path);

	*ret_store = store;
	store = (struct store){ .fd = -EBADF, .objects_fd = -EBADF };
	return 0;
}

static int lock_file(const struct store *store, const char *name, int operation)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = openat(store->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
		    0600);
	if (fd < 0)
		return -errno;
	do
		r = flock(fd, operation);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : TAKE_FD(fd);
}

int store_lock(const struct store *store)
{
	return lock_file(store, "hostkit.lock", LOCK_EX);
}

int store_lock_consolidation(const struct store *store)
{
	return lock_file(store, "hostkit-consolidate.lock", LOCK_EX | LOCK_NB);
}

bool store_has_room_for_shallow(const struct store *store, size_t count)
{
	return store->shallow.count + count <= SHALLOW_MAX / SHALLOW_LINE;
}

int store_add_shallow(struct store *store, const struct oidset *oids)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	const struct oidset_slot *slot;
	char hex[GIT_OID_HEXSZ + 1];
	size_t at = 0;
	int r;

	if (oids->count == 0)
		return STORE_E_OK;
	r = load_shallow(store); /* another push may have added some */
	if (r < 0)
		return r;
	if (!store_has_room_for_shallow(store, oids->count))
		return STORE_E_FULL;
	while ((slot = oidset_next(oids, &at)))
		if (!oidset_put(&store->shallow, &slot->oid, NULL))
			return -ENOMEM;
	at = 0;
	while ((slot = oidset_next(&store->shallow, &at)))
		strbuf_format(&text, "%s\n", git_oid_tostr(hex, sizeof(hex), &slot->oid));
	if (strbuf_failed(&text))
		return -ENOMEM;
	return fs_replace_at(store->fd, "shallow", 0644, text.data, text.size);
}

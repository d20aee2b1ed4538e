/*
 * Changing refs. Order of events, so that a crash leaves each ref old or new: every ref is locked (REF.lock has
 * the new value), then compared with what is there now; removals leave packed-refs; then each lock is renamed into
 * place or, for a removal, the file goes. Many new refs at once go into packed-refs instead of files of their own.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/str.h"
#include "receiver/refname.h"
#include "receiver/refs.h"
#include "receiver/refs_internal.h"

/* So many new refs in one push are written into packed-refs. */
#define PACK_FROM 256
/* Up to so many are flushed one by one, more by flushing the file system. */
#define SYNC_EACH_MAX 16
/* How long another writer's packed-refs.lock is waited for (git: core.packedRefsTimeout). */
#define PACKED_LOCK_MSEC 1000
#define PACKED_LOCK_STEP_MSEC 10

enum change_state {
	CHANGE_FAILED,
	CHANGE_LOCKED,  /* the lock file has the new value */
	CHANGE_PACKED,  /* a new ref that goes to packed-refs */
	CHANGE_BLOCKED, /* a ref stands where a directory would have to be made */
};

/* Changes that are made together, sorted by name. */
struct batch {
	int repo_fd;
	struct ref_change **list;
	size_t count;
	unsigned flags;
	bool sync_each, pack_new;
	int packed_lock_fd;
};

static bool is_removal(const struct ref_change *c)
{
	return git_oid_is_zero(&c->new_oid);
}

static bool is_new(const struct ref_change *c)
{
	return git_oid_is_zero(&c->old_oid) && !is_removal(c);
}

_printf_(2, 3) static void fail(struct ref_change *c, const char *fmt, ...)
{
	_cleanup_free_ char *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	why = str_vformat(fmt, ap);
	va_end(ap);
	c->state = CHANGE_FAILED;
	free(c->message);
	c->message = str_format("cannot lock ref '%s': %s", c->name,
				why ? why : "out of memory");
	if (!c->message) /* still tell the two apart */
		c->message = strdup("");
}

static char *lock_path(const struct ref_change *c)
{
	return str_format("%s.lock", c->name);
}

/* Make the directories a ref's file needs. Returns 1 if there was one to make, 0, or a negative errno value. */
static int make_parents(int repo_fd, const char *name)
{
	_cleanup_free_ char *path = strdup(name);
	int made = 0;

	if (!path)
		return -ENOMEM;
	for (char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdirat(repo_fd, path, 0777) == 0)
			made = 1;
		else if (errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return made;
}

/* Remove directories above a removed ref that have become empty; refs/heads and its like stay. */
static void drop_empty_parents(int repo_fd, const char *name)
{
	_cleanup_free_ char *path = strdup(name);
	char *p;

	while (path && (p = strrchr(path, '/'))) {
		*p = '\0';
		if (!strchr(path, '/') || strchr(path, '/') == strrchr(path, '/'))
			return;
		if (unlinkat(repo_fd, path, AT_REMOVEDIR) < 0)
			return;
	}
}

/* "refs/heads/a" against "refs/heads/a/b", in both directions. Returns the ref in the way, or NULL. */
static const char *find_conflict(const struct refs *refs, const char *name)
{
	_cleanup_free_ char *prefix = str_format("%s/", name);
	_cleanup_free_ char *path = strdup(name);
	size_t i;

	if (!prefix || !path)
		return NULL;
	i = refs_lower_bound(refs, prefix);
	if (i < refs->count && str_after_prefix(refs->list[i].name, prefix))
		return refs->list[i].name;
	for (char *p = strrchr(path, '/'); p; p = strrchr(path, '/')) {
		const struct ref *ref;

		*p = '\0';
		ref = refs_find(refs, path);
		if (ref)
			return ref->name;
	}
	return NULL;
}

/* Compare with what is there. Returns whether the change may go on. */
static bool compare_old(const struct refs *refs, struct ref_change *c)
{
	char is[GIT_OID_HEXSZ + 1], expected[GIT_OID_HEXSZ + 1];
	const struct ref *ref = refs_find(refs, c->name);

	(void)git_oid_tostr(expected, sizeof(expected), &c->old_oid);
	if (!ref) {
		if (git_oid_is_zero(&c->old_oid))
			return true;
		fail(c, "unable to resolve reference '%s'", c->name);
		return false;
	}
	if (git_oid_is_zero(&c->old_oid)) {
		fail(c, "reference already exists");
		return false;
	}
	if (git_oid_equal(&ref->oid, &c->old_oid))
		return true;
	(void)git_oid_tostr(is, sizeof(is), &ref->oid);
	fail(c, "is at %s but expected %s", is, expected);
	return false;
}

static int write_lock(int repo_fd, struct ref_change *c, const char *path, bool sync)
{
	_cleanup_close_ int fd = -EBADF;
	char line[GIT_OID_HEXSZ + 2];
	int r;

	r = make_parents(repo_fd, path);
	if (r < 0)
		return r;
	c->made_parents = r > 0;
	fd = fs_open_beneath(repo_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	if (fd < 0)
		return fd;
	if (is_removal(c))
		return 0;
	(void)git_oid_tostr(line, GIT_OID_HEXSZ + 1, &c->new_oid);
	line[GIT_OID_HEXSZ] = '\n';
	r = io_write_all(fd, line, GIT_OID_HEXSZ + 1);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(repo_fd, path, 0);
	return r;
}

static void unlock(const struct batch *b, struct ref_change *c)
{
	_cleanup_free_ char *path = lock_path(c);

	if (c->state == CHANGE_LOCKED && path)
		(void)unlinkat(b->repo_fd, path, 0);
	if (c->state == CHANGE_LOCKED || c->state == CHANGE_BLOCKED)
		drop_empty_parents(b->repo_fd, c->name);
}

static void lock(const struct batch *b, struct ref_change *c)
{
	_cleanup_free_ char *path = lock_path(c);
	int r;

	if (!path) {
		fail(c, "out of memory");
		return;
	}
	if (refname_is_too_long(c->name)) {
		fail(c, "Unable to create '%s': %s", path, strerror(ENAMETOOLONG));
		return;
	}
	if (b->pack_new && is_new(c)) {
		c->state = CHANGE_PACKED;
		return;
	}
	r = write_lock(b->repo_fd, c, path, b->sync_each);
	if (r == -EEXIST && (b->flags & REFS_SOLE_WRITER)) {
		/* whoever made it is dead */
		(void)unlinkat(b->repo_fd, path, 0);
		r = write_lock(b->repo_fd, c, path, b->sync_each);
	}
	if (r == -EEXIST)
		fail(c, "Unable to create '%s': File exists", path);
	else if (r == -ENOTDIR)
		c->state = CHANGE_BLOCKED;
	else if (r < 0)
		fail(c, "Unable to create '%s': %s", path, strerror(-r));
	else
		c->state = CHANGE_LOCKED;
}

/* May the change be made, now that nobody else can? */
static void check(const struct batch *b, const struct refs *refs, struct ref_change *c)
{
	const char *other = is_new(c) ? find_conflict(refs, c->name) : NULL;
	enum change_state state = (enum change_state)c->state;

	if (other)
		fail(c, "'%s' exists; cannot create '%s'", other, c->name);
	else if (state == CHANGE_BLOCKED)
		fail(c, "Unable to create '%s.lock': %s", c->name, strerror(ENOTDIR));
	else if (compare_old(refs, c))
		return;
	c->state = (int)state;
	unlock(b, c);
	c->state = CHANGE_FAILED;
}

static int lock_packed(const struct batch *b)
{
	int repo_fd = b->repo_fd;

	if (b->flags & REFS_SOLE_WRITER)
		(void)unlinkat(repo_fd, "packed-refs.lock", 0); /* of one that is dead */
	for (int waited = 0;; waited += PACKED_LOCK_STEP_MSEC) {
		struct timespec step = { .tv_nsec = PACKED_LOCK_STEP_MSEC * 1000000L };
		int fd = openat(repo_fd, "packed-refs.lock",
				O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				0666);

		if (fd >= 0)
			return fd;
		if (errno != EEXIST || waited >= PACKED_LOCK_MSEC)
			return -errno;
		(void)nanosleep(&step, NULL); /* there is no event to wait for */
	}
}

static int by_change_name(const void *a, const void *b)
{
	const struct ref_change *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void put_ref(struct strbuf *out, const git_oid *oid, const char *name)
{
	char hex[GIT_OID_HEXSZ + 1];

	strbuf_str(out, git_oid_tostr(hex, sizeof(hex), oid));
	strbuf_char(out, ' ');
	strbuf_str(out, name);
	strbuf_char(out, '\n');
}

/* The change of that name in a sorted list, or NULL. */
static struct ref_change *find_change(struct ref_change **sorted, size_t count,
				      const char *name)
{
	struct ref_change key = { .name = name }, *p = &key, **hit;

	hit = bsearch(&p, sorted, count, sizeof(*sorted), by_change_name);
	return hit ? *hit : NULL;
}

/*
 * Compose the new packed-refs: the lines of the old one but those of removed refs, and the new refs in
 * their places. Peeled values of old tags are kept; new ones have none, so the header promises none.
 */
static void compose_packed(const char *old, struct ref_change **sorted, size_t count,
			   bool adds, struct strbuf *out)
{
	bool keep = true;
	size_t next = 0;

	if (adds || old[0] != '#')
		strbuf_str(out, adds ? "# pack-refs with: sorted \n" : "");
	for (const char *line = old, *eol; *line; line = *eol ? eol + 1 : eol) {
		size_t size;

		eol = strchrnul(line, '\n');
		size = (size_t)(eol - line);
		if (line[0] == '#') {
			if (!adds)
				strbuf_append(out, line, size + 1);
			continue;
		}
		if (line[0] != '^' && size > GIT_OID_HEXSZ + 1) {
			_cleanup_free_ char *name = strndup(line + GIT_OID_HEXSZ + 1,
							    size - GIT_OID_HEXSZ - 1);
			struct ref_change *c;

			if (!name) {
				out->failed = true;
				return;
			}
			for (;
			     adds && next < count && strcmp(sorted[next]->name, name) < 0;
			     next++)
				if (sorted[next]->state == CHANGE_PACKED)
					put_ref(out, &sorted[next]->new_oid,
						sorted[next]->name);
			c = find_change(sorted, count, name);
			keep = !c || !is_removal(c) || c->state != CHANGE_LOCKED;
		}
		if (keep && !(adds && line[0] == '^')) {
			strbuf_append(out, line, size);
			strbuf_char(out, '\n');
		}
	}
	for (; adds && next < count; next++)
		if (sorted[next]->state == CHANGE_PACKED)
			put_ref(out, &sorted[next]->new_oid, sorted[next]->name);
}

static void unlock_packed(struct batch *b)
{
	if (b->packed_lock_fd < 0)
		return;
	(void)unlinkat(b->repo_fd, "packed-refs.lock", 0);
	b->packed_lock_fd = fd_close(b->packed_lock_fd);
}

/* Put the new packed-refs in the place of the old one, and both through to the disk. */
static int replace_packed(struct batch *b, const struct strbuf *text)
{
	int fd = b->packed_lock_fd, r;

	if (strbuf_failed(text))
		return -ENOMEM;
	if (text->size > PACKED_REFS_MAX)
		return -EFBIG;
	r = io_write_all(fd, text->data, text->size);
	if (r < 0)
		return r;
	if (fsync(fd) < 0 ||
	    renameat(b->repo_fd, "packed-refs.lock", b->repo_fd, "packed-refs") < 0)
		return -errno;
	b->packed_lock_fd = fd_close(fd);
	/* before files go whose refs are gone from it, or come back with an old value */
	return fsync(b->repo_fd) < 0 ? -errno : 0;
}

/* Write packed-refs anew where removals or many new refs ask for it. */
static int update_packed(struct batch *b)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_free_ char *old = NULL;
	size_t size = 0;
	bool adds = false;
	int r;

	for (size_t i = 0; i < b->count; i++)
		adds = adds || b->list[i]->state == CHANGE_PACKED;
	r = refs_read_packed_file(b->repo_fd, &old, &size);
	if (r < 0)
		return r;
	compose_packed(old, b->list, b->count, adds, &out);
	return replace_packed(b, &out);
}

static int commit(int repo_fd, struct ref_change *c)
{
	_cleanup_free_ char *path = lock_path(c);
	int r = 0;

	if (c->state == CHANGE_PACKED)
		return 0;
	if (!path)
		return -ENOMEM;
	if (is_removal(c)) {
		if (unlinkat(repo_fd, c->name, 0) < 0 && errno != ENOENT &&
		    errno != ENOTDIR && errno != EISDIR)
			r = -errno;
		(void)unlinkat(repo_fd, path, 0);
		drop_empty_parents(repo_fd, c->name);
		return r;
	}
	if (renameat(repo_fd, path, repo_fd, c->name) == 0)
		return 0;
	if (errno == EISDIR) {
		/* left by a removed ref */
		(void)unlinkat(repo_fd, c->name, AT_REMOVEDIR);
		if (renameat(repo_fd, path, repo_fd, c->name) == 0)
			return 0;
	}
	r = -errno;
	(void)unlinkat(repo_fd, path, 0);
	return r;
}

/* The ref itself is written; what is not yet is its name, and those of directories made for it. */
static void sync_parents(int repo_fd, const struct ref_change *c)
{
	_cleanup_free_ char *path = strdup(c->name);
	char *slash;

	while (path && (slash = strrchr(path, '/'))) {
		_cleanup_close_ int fd = -EBADF;

		*slash = '\0';
		fd = fs_open_beneath(repo_fd, path, O_RDONLY | O_DIRECTORY, 0);
		if (fd >= 0)
			(void)fsync(fd);
		if (!c->made_parents)
			return;
	}
}

/* Is a ref being made above this one, among the same changes? Returns it, or NULL. */
static const char *new_parent(struct ref_change **sorted, size_t count, const char *name)
{
	_cleanup_free_ char *path = strdup(name);

	for (char *p = path ? strrchr(path, '/') : NULL; p; p = strrchr(path, '/')) {
		struct ref_change *c;

		*p = '\0';
		c = find_change(sorted, count, path);
		if (c && !is_removal(c))
			return c->name;
	}
	return NULL;
}

/* Changes that contradict each other: two of one ref, or of "a" and "a/b". */
static void refuse_contradictions(struct ref_change **sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct ref_change *c = sorted[i];
		bool twin = (i > 0 && str_equal(sorted[i - 1]->name, c->name)) ||
			    (i + 1 < count && str_equal(sorted[i + 1]->name, c->name));
		const char *parent =
			is_removal(c) ? NULL : new_parent(sorted, count, c->name);

		if (twin) {
			c->state = CHANGE_FAILED;
			c->message =
				str_format("multiple updates for ref '%s' not allowed",
					   c->name);
		} else if (parent) {
			fail(c, "'%s' exists; cannot create '%s'", parent, c->name);
		}
	}
}

static bool any_failed(struct ref_change *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i]->message)
			return true;
	return false;
}

static void finish(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct ref_change *c = b->list[i];
		int r;

		if (c->message)
			continue;
		r = commit(b->repo_fd, c);
		if (r < 0)
			fail(c, "%s", strerror(-r));
		else if (b->sync_each && c->state == CHANGE_LOCKED)
			sync_parents(b->repo_fd, c);
	}
	if (!b->sync_each)
		(void)syncfs(b->repo_fd);
}

/* Is there something that concerns packed-refs, as far as can be said before the refs are read? */
static bool may_need_packed(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->list[i]->message &&
		    (b->list[i]->state == CHANGE_PACKED || is_removal(b->list[i])))
			return true;
	return false;
}

static bool needs_packed(const struct batch *b, const struct refs *refs)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct ref_change *c = b->list[i];
		const struct ref *ref;

		if (c->message)
			continue;
		if (c->state == CHANGE_PACKED)
			return true;
		ref = is_removal(c) ? refs_find(refs, c->name) : NULL;
		/* a file may hide an older value in packed-refs that would come back */
		if (ref && (ref->packed || refs->packed_data[0]))
			return true;
	}
	return false;
}

static void release_all(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->list[i]->message)
			unlock(b, b->list[i]);
	unlock_packed(b);
}

static int fail_all(struct batch *b, int error)
{
	release_all(b);
	for (size_t i = 0; i < b->count; i++)
		if (!b->list[i]->message)
			fail(b->list[i], "%s", strerror(-error));
	return REFS_E_SOME_FAILED;
}

/* With everything locked: check, then change. */
static int apply_locked(struct batch *b)
{
	_cleanup_refs_ struct refs refs = { 0 };
	int r;

	r = refs_load(b->repo_fd, &refs);
	if (r < 0)
		return fail_all(b, r);
	for (size_t i = 0; i < b->count; i++)
		if (!b->list[i]->message)
			check(b, &refs, b->list[i]);
	if ((b->flags & REFS_ATOMIC) && any_failed(b->list, b->count)) {
		release_all(b);
		return REFS_E_SOME_FAILED;
	}
	if (!b->sync_each)
		(void)syncfs(
			b->repo_fd); /* a failure shows again when locks are renamed */
	r = needs_packed(b, &refs) ? update_packed(b) : 0;
	if (r < 0)
		return fail_all(b, r);
	unlock_packed(b);
	finish(b);
	return any_failed(b->list, b->count) ? REFS_E_SOME_FAILED : REFS_E_OK;
}

static int apply(int repo_fd, struct ref_change **list, size_t count, unsigned flags)
{
	struct batch b = {
		.repo_fd = repo_fd,
		.list = list,
		.count = count,
		.flags = flags,
		.sync_each = count <= SYNC_EACH_MAX,
		.packed_lock_fd = -EBADF,
	};
	size_t count_new = 0;

	if (count == 0)
		return REFS_E_OK;
	for (size_t i = 0; i < count; i++)
		count_new += is_new(list[i]);
	b.pack_new = count_new >= PACK_FROM;
	for (size_t i = 0; i < count; i++)
		if (!list[i]->message)
			lock(&b, list[i]);
	if (may_need_packed(&b)) {
		b.packed_lock_fd = lock_packed(&b);
		if (b.packed_lock_fd < 0)
			return fail_all(&b, b.packed_lock_fd);
	}
	return apply_locked(&b);
}

/* Sorted: the removals first, then the others. Returns how many removals there are. */
static size_t split(struct ref_change *changes, size_t count, struct ref_change **list)
{
	size_t removals = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		if (is_removal(&changes[i]))
			list[removals++] = &changes[i];
	at = removals;
	for (size_t i = 0; i < count; i++)
		if (!is_removal(&changes[i]))
			list[at++] = &changes[i];
	qsort(list, removals, sizeof(*list), by_change_name);
	qsort(list + removals, count - removals, sizeof(*list), by_change_name);
	return removals;
}

int refs_apply(int repo_fd, struct ref_change *changes, size_t count, unsigned flags)
{
	_cleanup_free_ struct ref_change **list = NULL;
	size_t removals;
	int r, s;

	if (count == 0)
		return REFS_E_OK;
	list = calloc(count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		list[i] = &changes[i];
	qsort(list, count, sizeof(*list), by_change_name);
	refuse_contradictions(list, count);
	if (flags & REFS_ATOMIC)
		return apply(repo_fd, list, count, flags);

	/* "a" makes room for "a/b" */
	removals = split(changes, count, list);
	r = apply(repo_fd, list, removals, flags);
	s = apply(repo_fd, list + removals, count - removals, flags);
	return r != REFS_E_OK ? r : s;
}

int refs_set_head(int repo_fd, const char *name)
{
	_cleanup_free_ char *text = str_format("ref: %s\n", name);

	return text ? fs_replace_at(repo_fd, "HEAD", 0644, text, strlen(text)) : -ENOMEM;
}

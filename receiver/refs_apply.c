/*
 * Changing refs. Order of events, so that a crash leaves each ref old or new: every ref is locked and
 * compared (REF.lock has the new value); removals leave packed-refs; then each lock is renamed into place or,
 * for a removal, the file goes. Many new refs at once go into packed-refs instead of files of their own.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/str.h"
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
	CHANGE_LOCKED, /* the lock file has the new value */
	CHANGE_PACKED, /* a new ref that goes to packed-refs */
};

static bool is_removal(const struct ref_change *c)
{
	return git_oid_is_zero(&c->new_oid);
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

/* Make the directories a ref's file needs. Returns 0 or a negative errno value. */
static int make_parents(int repo_fd, const char *name)
{
	_cleanup_free_ char *path = strdup(name);

	if (!path)
		return -ENOMEM;
	for (char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdirat(repo_fd, path, 0777) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
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

static void lock(int repo_fd, const struct refs *refs, struct ref_change *c, bool pack,
		 bool sync)
{
	_cleanup_free_ char *path = lock_path(c);
	int r;

	if (!path) {
		fail(c, "out of memory");
		return;
	}
	if (git_oid_is_zero(&c->old_oid) && !is_removal(c)) {
		const char *other = find_conflict(refs, c->name);

		if (other) {
			fail(c, "'%s' exists; cannot create '%s'", other, c->name);
			return;
		}
	}
	if (pack) {
		if (compare_old(refs, c))
			c->state = CHANGE_PACKED;
		return;
	}
	r = write_lock(repo_fd, c, path, sync);
	if (r == -EEXIST) {
		fail(c, "Unable to create '%s': File exists", path);
		return;
	}
	if (r < 0) {
		fail(c, "Unable to create '%s': %s", path, strerror(-r));
		return;
	}
	c->state = CHANGE_LOCKED;
	if (!compare_old(refs, c))
		(void)unlinkat(repo_fd, path, 0);
}

static void unlock(int repo_fd, struct ref_change *c)
{
	_cleanup_free_ char *path = lock_path(c);

	if (c->state == CHANGE_LOCKED && path)
		(void)unlinkat(repo_fd, path, 0);
}

static int lock_packed(int repo_fd)
{
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

/* Write packed-refs anew where removals or many new refs ask for it. */
static int update_packed(int repo_fd, struct ref_change *changes, size_t count)
{
	_cleanup_free_ struct ref_change **sorted = calloc(count, sizeof(*sorted));
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_free_ char *old = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t size = 0;
	bool adds = false;
	int r;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		sorted[i] = &changes[i];
		adds = adds || changes[i].state == CHANGE_PACKED;
	}
	qsort(sorted, count, sizeof(*sorted), by_change_name);

	fd = lock_packed(repo_fd);
	if (fd < 0)
		return fd;
	r = refs_read_packed_file(repo_fd, &old, &size);
	if (r == 0) {
		compose_packed(old, sorted, count, adds, &out);
		r = strbuf_failed(&out) ? -ENOMEM : io_write_all(fd, out.data, out.size);
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(repo_fd, "packed-refs.lock", repo_fd, "packed-refs") < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(repo_fd, "packed-refs.lock", 0);
	return r;
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

static void sync_parent(int repo_fd, const char *name)
{
	_cleanup_free_ char *path = strdup(name);
	_cleanup_close_ int fd = -EBADF;
	char *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return;
	*slash = '\0';
	fd = fs_open_beneath(repo_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		(void)fsync(
			fd); /* the ref itself is written; only the rename is not yet */
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
static int refuse_contradictions(struct ref_change *changes, size_t count)
{
	_cleanup_free_ struct ref_change **sorted = calloc(count, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &changes[i];
	qsort(sorted, count, sizeof(*sorted), by_change_name);
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
	return 0;
}

static bool any_failed(const struct ref_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].message)
			return true;
	return false;
}

static void finish(int repo_fd, struct ref_change *changes, size_t count, bool sync_all)
{
	for (size_t i = 0; i < count; i++) {
		struct ref_change *c = &changes[i];
		int r;

		if (c->message)
			continue;
		r = commit(repo_fd, c);
		if (r < 0)
			fail(c, "%s", strerror(-r));
		else if (!sync_all && c->state == CHANGE_LOCKED)
			sync_parent(repo_fd, c->name);
	}
	if (sync_all)
		(void)syncfs(repo_fd);
}

static bool needs_packed(const struct refs *refs, const struct ref_change *changes,
			 size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct ref *ref;

		if (changes[i].message)
			continue;
		if (changes[i].state == CHANGE_PACKED)
			return true;
		ref = is_removal(&changes[i]) ? refs_find(refs, changes[i].name) : NULL;
		/* a file may hide an older value in packed-refs that would come back */
		if (ref && (ref->packed || refs->packed_data[0]))
			return true;
	}
	return false;
}

static void fail_all(int repo_fd, struct ref_change *changes, size_t count,
		     const char *why)
{
	for (size_t i = 0; i < count; i++) {
		if (changes[i].message)
			continue;
		unlock(repo_fd, &changes[i]);
		fail(&changes[i], "%s", why);
	}
}

static void release_all(int repo_fd, struct ref_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!changes[i].message)
			unlock(repo_fd, &changes[i]);
}

static size_t count_new(const struct ref_change *changes, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += git_oid_is_zero(&changes[i].old_oid) && !is_removal(&changes[i]);
	return n;
}

int refs_apply(int repo_fd, struct ref_change *changes, size_t count, bool atomic)
{
	_cleanup_refs_ struct refs refs = { 0 };
	bool pack_new = count_new(changes, count) >= PACK_FROM;
	bool sync_each = count <= SYNC_EACH_MAX;
	int r;

	if (count == 0)
		return REFS_E_OK;
	r = refs_load(repo_fd, &refs);
	if (r < 0)
		return r;
	r = refuse_contradictions(changes, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (!changes[i].message)
			lock(repo_fd, &refs, &changes[i],
			     pack_new && git_oid_is_zero(&changes[i].old_oid) &&
				     !is_removal(&changes[i]),
			     sync_each);
	if (atomic && any_failed(changes, count)) {
		release_all(repo_fd, changes, count);
		return REFS_E_SOME_FAILED;
	}
	if (!sync_each)
		(void)syncfs(
			repo_fd); /* a failure shows again when the locks are renamed */
	if (needs_packed(&refs, changes, count)) {
		r = update_packed(repo_fd, changes, count);
		if (r < 0) {
			fail_all(repo_fd, changes, count, strerror(-r));
			return REFS_E_SOME_FAILED;
		}
	}
	finish(repo_fd, changes, count, !sync_each);
	return any_failed(changes, count) ? REFS_E_SOME_FAILED : REFS_E_OK;
}

int refs_set_head(int repo_fd, const char *name)
{
	_cleanup_free_ char *text = str_format("ref: %s\n", name);

	return text ? fs_replace_at(repo_fd, "HEAD", 0644, text, strlen(text)) : -ENOMEM;
}

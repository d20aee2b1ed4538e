/*
 * Reading. What it keeps true: a ref's own file wins over packed-refs; what is not the name of an object
 * is no ref.
 */
#include "receiver/refs.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/str.h"
#include "receiver/refname.h"
#include "receiver/refs_internal.h"

/* A symbolic ref may point to another one, so often. */
#define SYMBOLIC_DEPTH_MAX 5
/* Directories below refs/. */
#define DEPTH_MAX 64
#define REF_FILE_MAX 4096

void refs_done(struct refs *refs)
{
	for (size_t i = 0; i < refs->count; i++)
		if (!refs->list[i].packed)
			free((char *)refs->list[i].name);
	free(refs->list);
	free(refs->head);
	free(refs->packed_data);
	*refs = (struct refs){ 0 };
}

static int add(struct refs *refs, const char *name, const git_oid *oid, bool packed)
{
	if (refs->count == refs->allocated) {
		size_t n = refs->allocated ? refs->allocated * 2 : 64;
		struct ref *list = reallocarray(refs->list, n, sizeof(*list));

		if (!list)
			return -ENOMEM;
		refs->list = list;
		refs->allocated = n;
	}
	refs->list[refs->count++] =
		(struct ref){ .name = name, .oid = *oid, .packed = packed };
	return 0;
}

int refs_read_packed_file(int repo_fd, char **ret_data, size_t *ret_size)
{
	int r = fs_read_at(repo_fd, "packed-refs", PACKED_REFS_MAX, ret_data, ret_size);

	if (r != -ENOENT)
		return r;
	*ret_data = calloc(1, 1);
	*ret_size = 0;
	return *ret_data ? 0 : -ENOMEM;
}

/* Takes data: lines "OID NAME\n", comments, and "^OID\n" for what a tag leads to. */
static int parse_packed(struct refs *refs, char *data)
{
	char *line, *eol;

	refs->packed_data = data;
	for (line = data; *line; line = eol + 1) {
		git_oid oid;

		eol = strchrnul(line, '\n');
		if (eol - line > GIT_OID_HEXSZ + 1 && line[GIT_OID_HEXSZ] == ' ' &&
		    git_oid_fromstrn(&oid, line, GIT_OID_HEXSZ) == 0) {
			bool last = *eol == '\0';
			int r;

			*eol = '\0';
			r = add(refs, line + GIT_OID_HEXSZ + 1, &oid, true);
			if (r < 0)
				return r;
			if (last)
				break;
		} else if (*eol == '\0') {
			break;
		}
	}
	return 0;
}

/* The contents of a ref's file: an object name, or "ref: NAME". */
static int read_file(int repo_fd, const char *name, char **ret_text)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_strbuf_ struct strbuf text = { 0 };
	int r;

	fd = fs_open_beneath(repo_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = io_read_all(fd, REF_FILE_MAX, &text);
	if (r < 0)
		return r;
	*ret_text = strbuf_steal(&text);
	return *ret_text ? 0 : -ENOMEM;
}

/* Is there no such file, for whatever reason? */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EISDIR;
}

static char *symbolic_target(const char *text)
{
	const char *p = str_after_prefix(text, "ref:");

	if (!p)
		return NULL;
	while (*p == ' ' || *p == '\t')
		p++;
	return strndup(p, strcspn(p, "\r\n"));
}

static int read_packed_one(int repo_fd, const char *name, git_oid *ret_oid)
{
	_cleanup_free_ char *data = NULL, *key = str_format(" %s\n", name);
	const char *hit;
	size_t size = 0;
	int r;

	if (!key)
		return -ENOMEM;
	r = refs_read_packed_file(repo_fd, &data, &size);
	if (r < 0)
		return r;
	hit = memmem(data, size, key, strlen(key));
	if (!hit || hit - data < GIT_OID_HEXSZ)
		return 0;
	return git_oid_fromstrn(ret_oid, hit - GIT_OID_HEXSZ, GIT_OID_HEXSZ) == 0;
}

static int read_depth(int repo_fd, const char *name, int depth, git_oid *ret_oid)
{
	_cleanup_free_ char *text = NULL, *target = NULL;
	int r;

	r = read_file(repo_fd, name, &text);
	if (is_absent(r))
		return read_packed_one(repo_fd, name, ret_oid);
	if (r < 0)
		return r;
	if (strlen(text) >= GIT_OID_HEXSZ &&
	    git_oid_fromstrn(ret_oid, text, GIT_OID_HEXSZ) == 0)
		return 1;
	target = symbolic_target(text);
	if (!target || depth == SYMBOLIC_DEPTH_MAX || !refname_is_valid(target, true))
		return 0;
	return read_depth(repo_fd, target, depth + 1, ret_oid);
}

int refs_read(int repo_fd, const char *name, git_oid *ret_oid)
{
	return read_depth(repo_fd, name, 0, ret_oid);
}

static int add_loose(struct refs *refs, int repo_fd, const char *name)
{
	char *copy;
	git_oid oid;
	int r;

	if (!refname_is_valid(name, true))
		return 0;
	r = refs_read(repo_fd, name, &oid);
	if (r <= 0)
		return is_absent(r) ? 0 : r;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	r = add(refs, copy, &oid, false);
	if (r < 0)
		free(copy);
	return r;
}

/* Some file systems do not tell. */
static bool is_directory(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static int walk(struct refs *refs, int repo_fd, const char *path, int depth)
{
	struct dirent *entry;
	int r = 0, fd;
	DIR *dir;

	fd = fs_open_beneath(repo_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return is_absent(fd) ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (r >= 0 && (entry = fs_next_entry(dir, &r))) {
		_cleanup_free_ char *child = NULL;
		bool below;

		if (entry->d_name[0] == '.' || str_has_suffix(entry->d_name, ".lock"))
			continue;
		child = str_format("%s/%s", path, entry->d_name);
		below = is_directory(dirfd(dir), entry);
		if (!child)
			r = -ENOMEM;
		else if (below && depth < DEPTH_MAX)
			r = walk(refs, repo_fd, child, depth + 1);
		else if (!below)
			r = add_loose(refs, repo_fd, child);
	}
	closedir(dir);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r != 0 ? r : x->packed - y->packed;
}

static bool is_sorted(const struct refs *refs)
{
	for (size_t i = 1; i < refs->count; i++)
		if (by_name(&refs->list[i - 1], &refs->list[i]) >= 0)
			return false;
	return true;
}

/* Of two refs of one name only the first, the file, counts. */
static void drop_shadowed(struct refs *refs)
{
	size_t kept = 0;

	for (size_t i = 0; i < refs->count; i++) {
		if (kept > 0 &&
		    str_equal(refs->list[kept - 1].name, refs->list[i].name)) {
			if (!refs->list[i].packed)
				free((char *)refs->list[i].name);
			continue;
		}
		refs->list[kept++] = refs->list[i];
	}
	refs->count = kept;
}

int refs_load(int repo_fd, struct refs *ret_refs)
{
	_cleanup_refs_ struct refs refs = { 0 };
	_cleanup_free_ char *head = NULL;
	char *data = NULL;
	size_t size = 0;
	int r;

	r = refs_read_packed_file(repo_fd, &data, &size);
	if (r < 0)
		return r;
	r = parse_packed(&refs, data);
	if (r < 0)
		return r;
	r = walk(&refs, repo_fd, "refs", 0);
	if (r < 0)
		return r;
	if (!is_sorted(&refs)) {
		assert(refs.list);
		qsort(refs.list, refs.count, sizeof(*refs.list), by_name);
		drop_shadowed(&refs);
	}

	r = read_file(repo_fd, "HEAD", &head);
	if (r < 0 && r != -ENOENT)
		return r;
	refs.head = r < 0 ? NULL : symbolic_target(head);

	*ret_refs = refs;
	refs = (struct refs){ 0 };
	return 0;
}

size_t refs_lower_bound(const struct refs *refs, const char *name)
{
	size_t low = 0, high = refs->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(refs->list[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct ref *refs_find(const struct refs *refs, const char *name)
{
	size_t i = refs_lower_bound(refs, name);

	return i < refs->count && str_equal(refs->list[i].name, name) ? &refs->list[i]
								      : NULL;
}

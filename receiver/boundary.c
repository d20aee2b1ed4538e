/*
 * What it keeps true: no commit is written to REPO/shallow unless a ref needs it, and none is left out without
 * which a ref would lead to something missing.
 */
#include "receiver/boundary.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/str.h"
#include "gitobject/tree.h"
#include "receiver/objcheck.h"

#define DEFERRED_FILE "hostkit-shallow"
/* The ends of five pushes (PUSH_SHALLOW_MAX); the deployment that runs and the next need theirs. */
#define DEFERRED_MAX (8u << 20)
/* "TIP END\n" */
#define DEFERRED_LINE (2 * GIT_OID_HEXSZ + 2)

void boundary_done(struct boundary *boundary)
{
	oidset_done(&boundary->told);
	oidset_done(&boundary->believed);
}

static int add_all(struct oidset *to, const struct oidset *from)
{
	const struct oidset_slot *slot;
	size_t at = 0;

	while ((slot = oidset_next(from, &at)))
		if (!oidset_put(to, &slot->oid, NULL))
			return -ENOMEM;
	return 0;
}

int boundary_begin(struct boundary *boundary, struct store *store,
		   const struct push *push)
{
	int r;

	boundary->store = store;
	r = add_all(&boundary->told, &store->shallow);
	for (size_t i = 0; r == 0 && i < push->shallow_count; i++)
		if (!oidset_put(&boundary->told, &push->shallow[i], NULL))
			r = -ENOMEM;
	return r;
}

/* Open a commit. Returns 1 with the reader in front of the parents, 0 when there is none of that name. */
static int read_commit(git_odb *odb, const git_oid *oid, git_odb_object **ret_object,
		       struct commit_reader *ret_reader)
{
	git_odb_object *object = NULL;
	git_oid tree;

	if (!git_odb_exists_ext(odb, oid, GIT_ODB_LOOKUP_NO_REFRESH) ||
	    git_odb_read(&object, odb, oid) < 0)
		return 0;
	if (git_odb_object_type(object) != GIT_OBJECT_COMMIT ||
	    commit_begin(ret_reader, git_odb_object_data(object),
			 git_odb_object_size(object), &tree) < 0) {
		git_odb_object_free(object);
		return 0;
	}
	*ret_object = object;
	return 1;
}

static int add_link(struct oidset *links, const git_oid *oid)
{
	uint8_t *value = oidset_put(links, oid, NULL);

	if (!value)
		return -ENOMEM;
	*value |= OBJCHECK_COMMIT;
	return 0;
}

/* Believe it if a parent is missing; otherwise it is an ordinary commit. */
static int judge_one(struct boundary *boundary, const git_oid *oid,
		     struct pack_result *pack)
{
	git_odb *odb = boundary->store->odb;
	git_odb_object *object = NULL;
	struct commit_reader reader, again;
	bool lacks = false;
	git_oid parent;
	int r = 0;

	if (oidset_has(&boundary->store->shallow, oid) ||
	    !read_commit(odb, oid, &object, &reader))
		return 0;
	again = reader;
	while (!lacks && commit_next_parent(&reader, &parent) > 0)
		lacks = !git_odb_exists_ext(odb, &parent, GIT_ODB_LOOKUP_NO_REFRESH);
	if (lacks)
		r = oidset_put(&boundary->believed, oid, NULL) ? 0 : -ENOMEM;
	else if (oidset_has(&pack->have, oid))
		while (r == 0 && commit_next_parent(&again, &parent) > 0)
			r = add_link(&pack->links, &parent);
	git_odb_object_free(object);
	return r;
}

int boundary_judge(struct boundary *boundary, const struct push *push,
		   struct pack_result *pack)
{
	int r = add_all(&boundary->believed, &boundary->store->shallow);

	if (push->shallow_count > 0) /* packs may have been made since the start */
		(void)git_odb_refresh(boundary->store->odb);
	for (size_t i = 0; r == 0 && i < push->shallow_count; i++)
		r = judge_one(boundary, &push->shallow[i], pack);
	return r;
}

/* A walk from a tip to the ends of its history. */
struct history {
	git_odb *odb;
	const struct oidset *own,
		*ends;      /* where it ends; only what is not `own` is found */
	struct oidset seen; /* starts with the tips of refs */
	struct oidset *found;
};

static int visit(struct history *h, const git_oid *oid, struct oidset *next)
{
	struct commit_reader reader;
	git_odb_object *object;
	bool is_new = false;
	git_oid parent;
	int r = 0;

	if (!oidset_put(&h->seen, oid, &is_new))
		return -ENOMEM;
	if (!is_new || oidset_has(h->own, oid) ||
	    !read_commit(h->odb, oid, &object, &reader))
		return 0;
	if (oidset_has(h->ends, oid))
		r = oidset_put(h->found, oid, NULL) ? 0 : -ENOMEM;
	else
		while (r == 0 && commit_next_parent(&reader, &parent) > 0)
			r = oidset_put(next, &parent, NULL) ? 0 : -ENOMEM;
	git_odb_object_free(object);
	return r;
}

static int walk(struct history *h, const git_oid *tip)
{
	struct oidset level = { 0 };
	int r = oidset_put(&level, tip, NULL) ? 0 : -ENOMEM;

	while (r == 0 && level.count > 0) {
		struct oidset next = { 0 };
		const struct oidset_slot *slot;
		size_t at = 0;

		while (r == 0 && (slot = oidset_next(&level, &at)))
			r = visit(h, &slot->oid, &next);
		oidset_done(&level);
		level = next;
	}
	oidset_done(&level);
	return r;
}

/* Through tags. What cannot be read is left as it is; it was found connected. */
static git_oid peel(git_odb *odb, const git_oid *oid)
{
	git_oid at = *oid, target;
	bool is_tag = true;

	while (is_tag) {
		git_odb_object *object = NULL;
		int type;

		if (git_odb_read(&object, odb, &at) < 0)
			break;
		is_tag = git_odb_object_type(object) == GIT_OBJECT_TAG &&
			 tag_target(git_odb_object_data(object),
				    git_odb_object_size(object), &target, &type) == 0;
		if (is_tag)
			at = target;
		git_odb_object_free(object);
	}
	return at;
}

int boundary_find(const struct boundary *boundary, const struct refs *refs,
		  const git_oid *tip, struct oidset *ends)
{
	const struct store *store = boundary->store;
	struct history h = {
		.odb = store->odb,
		.own = &store->shallow,
		.ends = boundary->trust ? &boundary->told : &boundary->believed,
		.found = ends,
	};
	git_oid commit;
	int r = 0;

	if (h.ends->count <= store->shallow.count)
		return 0;
	for (size_t i = 0; r == 0 && i < refs->count; i++)
		if (!oidset_put(&h.seen, &refs->list[i].oid, NULL))
			r = -ENOMEM;
	commit = peel(store->odb, tip);
	if (r == 0)
		r = walk(&h, &commit);
	oidset_done(&h.seen);
	return r;
}

static int read_deferred(const struct store *store, char **ret_text, size_t *ret_size)
{
	int r = fs_read_at(store->fd, DEFERRED_FILE, DEFERRED_MAX, ret_text, ret_size);

	if (r != -ENOENT)
		return r;
	*ret_text = NULL;
	*ret_size = 0;
	return 0;
}

/* Append the lines of other tips, as many as there is room for: the newest come first. */
static void keep_others(struct strbuf *out, const char *text, size_t size,
			const char *tip_hex)
{
	for (; size >= DEFERRED_LINE; text += DEFERRED_LINE, size -= DEFERRED_LINE)
		if (memcmp(text, tip_hex, GIT_OID_HEXSZ) != 0 &&
		    out->size + DEFERRED_LINE <= DEFERRED_MAX)
			strbuf_append(out, text, DEFERRED_LINE);
}

static int write_deferred(const struct store *store, const struct strbuf *text)
{
	if (strbuf_failed(text))
		return -ENOMEM;
	if (text->size > 0)
		return fs_replace_at(store->fd, DEFERRED_FILE, 0600, text->data,
				     text->size);
	return unlinkat(store->fd, DEFERRED_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int boundary_defer(struct store *store, const git_oid *tip, const struct oidset *ends)
{
	char tip_hex[GIT_OID_HEXSZ + 1], hex[GIT_OID_HEXSZ + 1];
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_free_ char *text = NULL;
	const struct oidset_slot *slot;
	size_t size = 0, at = 0;
	int r;

	r = read_deferred(store, &text, &size);
	if (r < 0 || (size == 0 && ends->count == 0))
		return r;
	if (!store_has_room_for_shallow(store, ends->count))
		return STORE_E_FULL;
	(void)git_oid_tostr(tip_hex, sizeof(tip_hex), tip);
	while ((slot = oidset_next(ends, &at)))
		strbuf_format(&out, "%s %s\n", tip_hex,
			      git_oid_tostr(hex, sizeof(hex), &slot->oid));
	keep_others(&out, text, size, tip_hex);
	return write_deferred(store, &out);
}

int boundary_settle(struct store *store, const git_oid *tip)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	char tip_hex[GIT_OID_HEXSZ + 1];
	_cleanup_free_ char *text = NULL;
	struct oidset ends = { 0 };
	size_t size = 0;
	int r;

	r = read_deferred(store, &text, &size);
	if (r < 0 || size == 0)
		return r;
	(void)git_oid_tostr(tip_hex, sizeof(tip_hex), tip);
	for (size_t at = 0; r == 0 && size - at >= DEFERRED_LINE; at += DEFERRED_LINE) {
		const char *end = text + at + GIT_OID_HEXSZ + 1;
		git_oid oid;

		if (memcmp(text + at, tip_hex, GIT_OID_HEXSZ) == 0 &&
		    git_oid_fromstrn(&oid, end, GIT_OID_HEXSZ) == 0)
			r = oidset_put(&ends, &oid, NULL) ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = store_add_shallow(store, &ends);
	oidset_done(&ends);
	if (r != 0)
		return r;
	keep_others(&out, text, size, tip_hex);
	return write_deferred(store, &out);
}

/*
 * The pack's own links were gathered while it was read, so what has to be looked up are only links out of it.
 * Those into what the refs had before are complete by induction; a commit is recognised by being
 * reachable from a ref, a tree or blob by standing in the tree of such a commit, found level by level
 * without going into what did not change. The rest (rare: trees of older commits) is walked.
 */
#include "receiver/connect.h"

#include "gitobject/tree.h"
#include "receiver/objcheck.h"
#include "receiver/oidlist.h"

/* Clocks of committers may differ by so much before a search gives up too early. */
#define CLOCK_SKEW_SEC (2 * 86400)

void connect_done(struct connect *connect)
{
	oidset_done(&connect->closed);
	oidset_done(&connect->tips);
	connect->tips_known = false;
}

static bool exists(git_odb *odb, const git_oid *oid)
{
	return git_odb_exists_ext(odb, oid, GIT_ODB_LOOKUP_NO_REFRESH);
}

static git_odb_object *read_object(git_odb *odb, const git_oid *oid)
{
	git_odb_object *object = NULL;

	if (!exists(odb, oid) || git_odb_read(&object, odb, oid) < 0)
		return NULL;
	return object;
}

/* Commits by date, the newest first: a binary heap. */
struct queued {
	int64_t time;
	git_oid oid;
	struct commit_reader reader; /* of object */
	git_odb_object *object;
};

struct queue {
	struct queued *heap;
	size_t count, allocated;
	struct oidset seen;
	const struct oidset *wanted; /* borrowed */
	size_t left;                 /* so many of them have not been met */
};

static void queue_done(struct queue *queue)
{
	for (size_t i = 0; i < queue->count; i++)
		git_odb_object_free(queue->heap[i].object);
	free(queue->heap);
	oidset_done(&queue->seen);
}
#define _cleanup_queue_ _cleanup_(queue_done)

static int queue_push(struct queue *queue, const struct queued *item)
{
	size_t i = queue->count;

	if (queue->count == queue->allocated) {
		size_t n = queue->allocated ? queue->allocated * 2 : 64;
		struct queued *heap = reallocarray(queue->heap, n, sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		queue->heap = heap;
		queue->allocated = n;
	}
	queue->count++;
	for (; i > 0 && queue->heap[(i - 1) / 2].time < item->time; i = (i - 1) / 2)
		queue->heap[i] = queue->heap[(i - 1) / 2];
	queue->heap[i] = *item;
	return 0;
}

static struct queued queue_pop(struct queue *queue)
{
	struct queued top = queue->heap[0], last = queue->heap[--queue->count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= queue->count)
			break;
		if (child + 1 < queue->count &&
		    queue->heap[child + 1].time > queue->heap[child].time)
			child++;
		if (queue->heap[child].time <= last.time)
			break;
		queue->heap[i] = queue->heap[child];
		i = child;
	}
	if (queue->count > 0)
		queue->heap[i] = last;
	return top;
}

/* If item->object is a commit, find out when it was made. Returns whether it is one. */
static bool read_commit(struct queued *item)
{
	struct commit_reader behind;
	git_oid unused;

	if (git_odb_object_type(item->object) != GIT_OBJECT_COMMIT ||
	    commit_begin(&item->reader, git_odb_object_data(item->object),
			 git_odb_object_size(item->object), &unused) < 0)
		return false;
	behind = item->reader;
	while (commit_next_parent(&behind, &unused) > 0)
		;
	item->time = commit_time(&behind);
	return true;
}

static bool read_tag(git_odb_object *object, git_oid *ret_target)
{
	int type;

	return git_odb_object_type(object) == GIT_OBJECT_TAG &&
	       tag_target(git_odb_object_data(object), git_odb_object_size(object),
			  ret_target, &type) == 0;
}

/* Note that oid was met. Returns 1 for the first time, 0, or -ENOMEM. */
static int queue_see(struct queue *queue, const git_oid *oid)
{
	bool is_new = false;

	if (!oidset_put(&queue->seen, oid, &is_new))
		return -ENOMEM;
	if (is_new && queue->wanted && oidset_has(queue->wanted, oid))
		queue->left--;
	return is_new;
}

/*
 * Put a commit into the queue, through tags; anything else is passed over. Of tags of tags there are as many
 * as a client likes, but each is met once.
 */
static int queue_add(struct queue *queue, git_odb *odb, const git_oid *oid)
{
	struct queued item = { .oid = *oid };
	int r;

	while ((r = queue_see(queue, &item.oid)) > 0) {
		item.object = read_object(odb, &item.oid);
		if (!item.object)
			return 0;
		if (!read_tag(item.object, &item.oid))
			break;
		git_odb_object_free(item.object);
	}
	if (r <= 0)
		return r;
	r = read_commit(&item) ? queue_push(queue, &item) : 1;
	if (r != 0)
		git_odb_object_free(item.object);
	return r < 0 ? r : 0;
}

/* Meet commits, the newest first, until all that is wanted was met or only what is older is left. */
static int queue_walk(struct queue *queue, git_odb *odb, int64_t give_up_before)
{
	int r = 0;

	while (r == 0 && queue->count > 0 && queue->left > 0 &&
	       queue->heap[0].time >= give_up_before) {
		struct queued top = queue_pop(queue);
		git_oid parent;

		while (r == 0 && commit_next_parent(&top.reader, &parent) > 0)
			r = queue_add(queue, odb, &parent);
		git_odb_object_free(top.object);
	}
	return r;
}

int connect_reaches(git_odb *odb, const git_oid *from, size_t count,
		    const git_oid *target, int64_t give_up_before)
{
	struct oidset wanted = { 0 };
	_cleanup_queue_ struct queue queue = { .wanted = &wanted, .left = 1 };
	int r = oidset_put(&wanted, target, NULL) ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = queue_add(&queue, odb, &from[i]);
	if (r == 0)
		r = queue_walk(&queue, odb, give_up_before);
	oidset_done(&wanted);
	return r < 0 ? r : queue.left == 0;
}

static int know_tips(struct connect *c)
{
	if (c->tips_known)
		return 0;
	for (size_t i = 0; i < c->refs->count; i++)
		if (!oidset_put(&c->tips, &c->refs->list[i].oid, NULL))
			return -ENOMEM;
	c->tips_known = true;
	return 0;
}

/* Of what is wanted: that which no ref points to, and how far back the oldest commit among it lies. */
static int pick_wanted(struct connect *c, const struct oidset *wanted,
		       struct oidset *picked, int64_t *ret_oldest)
{
	const struct oidset_slot *slot;
	size_t at = 0;

	while ((slot = oidset_next(wanted, &at))) {
		struct queued item = { 0 };

		if (!(slot->value & OBJCHECK_COMMIT) || oidset_has(&c->tips, &slot->oid))
			continue;
		item.object = read_object(c->odb, &slot->oid);
		if (!item.object)
			continue;
		if (read_commit(&item) && item.time < *ret_oldest)
			*ret_oldest = item.time;
		git_odb_object_free(item.object);
		if (!oidset_put(picked, &slot->oid, NULL))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Meet all that is wanted and was reachable before the push, as far as we know, in one walk: a merge may
 * have as many parents as there are commits.
 */
static int meet_old_commits(struct connect *c, const struct oidset *wanted,
			    struct queue *queue)
{
	struct oidset picked = { 0 };
	const struct oidset_slot *slot;
	int64_t oldest = INT64_MAX;
	size_t at = 0;
	int r = know_tips(c);

	if (r == 0)
		r = pick_wanted(c, wanted, &picked, &oldest);
	if (r == 0 && picked.count > 0) {
		queue->wanted = &picked;
		queue->left = picked.count;
		while (r == 0 && (slot = oidset_next(&c->tips, &at)))
			r = queue_add(queue, c->odb, &slot->oid);
		if (r == 0)
			r = queue_walk(queue, c->odb, oldest - CLOCK_SKEW_SEC);
		queue->wanted = NULL;
	}
	oidset_done(&picked);
	return r;
}

/* Add the entries of a tree to `closed`, and the trees among them to `next`. */
static int close_tree(struct connect *c, const git_oid *oid, struct oid_list *next)
{
	git_odb_object *object = read_object(c->odb, oid);
	struct tree_entry entry = { 0 };
	struct tree_reader reader;
	int r = 0;

	if (!object)
		return 0;
	reader = tree_reader(git_odb_object_data(object), git_odb_object_size(object));
	while (r == 0 && tree_next(&reader, &entry) > 0) {
		uint8_t *value;
		bool is_new = false;

		if (tree_mode_is_gitlink(entry.mode))
			continue;
		value = oidset_put(&c->closed, &entry.oid, &is_new);
		if (!value)
			r = -ENOMEM;
		else if (tree_mode_is_directory(entry.mode) && is_new)
			r = oid_list_add(next, &entry.oid);
	}
	git_odb_object_free(object);
	return r;
}

static size_t count_open(const struct connect *c, const struct oid_list *wanted)
{
	size_t n = 0;

	for (size_t i = 0; i < wanted->count; i++)
		n += !oidset_has(&c->closed, &wanted->oids[i]);
	return n;
}

/*
 * Go down the trees of old commits, a level at a time, until every wanted object has been met. A tree
 * that is wanted itself did not change: what is below it is not needed.
 */
static int close_levels(struct connect *c, struct oid_list *level,
			const struct oid_list *wanted, const struct oidset *wanted_set)
{
	int r = 0;

	while (r == 0 && level->count > 0 && count_open(c, wanted) > 0) {
		struct oid_list next = { 0 };

		for (size_t i = 0; r == 0 && i < level->count; i++)
			if (!oidset_has(wanted_set, &level->oids[i]))
				r = close_tree(c, &level->oids[i], &next);
		free(level->oids);
		*level = next;
	}
	return r;
}

/* The root trees of those among the wanted that are commits from before. */
static int old_roots(struct connect *c, const struct oidset *wanted,
		     struct oid_list *roots)
{
	_cleanup_queue_ struct queue queue = { 0 };
	const struct oidset_slot *slot;
	size_t at = 0;
	int r = meet_old_commits(c, wanted, &queue);

	while (r == 0 && (slot = oidset_next(wanted, &at))) {
		struct commit_reader reader;
		git_odb_object *object;
		git_oid tree;

		if (!(slot->value & OBJCHECK_COMMIT) ||
		    (!oidset_has(&c->tips, &slot->oid) &&
		     !oidset_has(&queue.seen, &slot->oid)))
			continue;
		if (!oidset_put(&c->closed, &slot->oid, NULL))
			return -ENOMEM;
		object = read_object(c->odb, &slot->oid);
		if (!object)
			continue;
		if (git_odb_object_type(object) == GIT_OBJECT_COMMIT &&
		    commit_begin(&reader, git_odb_object_data(object),
				 git_odb_object_size(object), &tree) == 0)
			r = oid_list_add(roots, &tree);
		git_odb_object_free(object);
	}
	return r;
}

/* One step of the walk: an object's links that are not known yet go on the stack. */
static int walk_one(struct connect *c, const git_oid *oid, uint8_t kinds,
		    struct oidset *todo)
{
	git_odb_object *object;
	git_object_t type;
	int r;

	if (kinds == OBJCHECK_BLOB)
		return exists(c->odb, oid);
	object = read_object(c->odb, oid);
	if (!object)
		return 0;
	type = git_odb_object_type(object);
	r = kinds && kinds != objcheck_kind(type) ? -EBADMSG : 0;
	if (r == 0)
		r = objcheck_links(type, git_odb_object_data(object),
				   git_odb_object_size(object),
				   !oidset_has(c->shallow, oid), todo);
	git_odb_object_free(object);
	return r == -EBADMSG ? 0 : r < 0 ? r : 1;
}

/* Walk from one object through all that is not known to be complete. */
static int walk(struct connect *c, const git_oid *oid, uint8_t kinds)
{
	struct oidset level = { 0 };
	uint8_t *value = oidset_put(&level, oid, NULL);
	int r = value ? 1 : -ENOMEM;

	if (value)
		*value = kinds;
	while (r > 0 && level.count > 0) {
		struct oidset next = { 0 };
		const struct oidset_slot *slot;
		size_t at = 0;

		while (r > 0 && (slot = oidset_next(&level, &at))) {
			bool is_new = false;

			if (oidset_has(&c->tips, &slot->oid))
				continue;
			if (!oidset_put(&c->closed, &slot->oid, &is_new))
				r = -ENOMEM;
			else if (is_new)
				r = walk_one(c, &slot->oid, slot->value, &next);
		}
		oidset_done(&level);
		level = next;
	}
	oidset_done(&level);
	return r;
}

static int add_wanted(struct oidset *outside, const git_oid *oid, uint8_t kinds)
{
	uint8_t *value = oidset_put(outside, oid, NULL);

	if (!value)
		return -ENOMEM;
	*value |= kinds;
	return 0;
}

/* Of what the pack and the new tips need, that which the pack does not have. 1, 0 broken, or -errno. */
static int find_outside(struct connect *c, const git_oid *tips, size_t count,
			struct oidset *outside)
{
	const struct oidset_slot *slot;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (slot = oidset_next(&c->pack->links, &at))) {
		const uint8_t *have = oidset_get(&c->pack->have, &slot->oid);

		if (!have)
			r = exists(c->odb, &slot->oid)
				    ? add_wanted(outside, &slot->oid, slot->value)
				    : -ENOENT;
		else if ((slot->value | *have) != *have)
			r = -ENOENT;
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (oidset_has(&c->pack->have, &tips[i]))
			continue;
		/* what a ref points to may be anything; old commits are the common case */
		r = exists(c->odb, &tips[i])
			    ? add_wanted(outside, &tips[i], OBJCHECK_COMMIT)
			    : -ENOENT;
	}
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int check_outside(struct connect *c, struct oidset *outside)
{
	_cleanup_oid_list_ struct oid_list level = { 0 };
	_cleanup_oid_list_ struct oid_list wanted = { 0 };
	const struct oidset_slot *slot;
	size_t at = 0;
	int r;

	r = old_roots(c, outside, &level);
	while (r == 0 && (slot = oidset_next(outside, &at)))
		if (!oidset_has(&c->closed, &slot->oid))
			r = oid_list_add(&wanted, &slot->oid);
	if (r == 0)
		r = close_levels(c, &level, &wanted, outside);
	for (size_t i = 0; r >= 0 && i < wanted.count; i++) {
		const uint8_t *kinds = oidset_get(outside, &wanted.oids[i]);

		if (oidset_has(&c->closed, &wanted.oids[i]))
			continue;
		/* a commit here is a tip or a parent; a tip may be a tag as well */
		r = walk(c, &wanted.oids[i], *kinds == OBJCHECK_COMMIT ? 0 : *kinds);
		if (r == 0)
			return 0;
	}
	return r < 0 ? r : 1;
}

int connect_check_all(struct connect *c, const git_oid *tips, size_t count)
{
	struct oidset outside = { 0 };
	int r;

	if (c->pack->malformed)
		return 0;
	r = find_outside(c, tips, count, &outside);
	if (r > 0)
		r = check_outside(c, &outside);
	oidset_done(&outside);
	return r;
}

int connect_check_tip(struct connect *c, const git_oid *tip)
{
	int r = know_tips(c);

	if (r < 0)
		return r;
	oidset_done(&c->closed); /* what an earlier walk met may have been incomplete */
	return walk(c, tip, 0);
}

/*
 * Trees are read raw and walked with a stack on the heap: their depth is the pusher's choice. No blob is
 * opened here.
 */
#include "receiver/sendset.h"

#include "gitobject/tree.h"
#include "receiver/oidlist.h"

#define TICK_EVERY 256

void sendset_done(struct sendset *set)
{
	free(set->objects);
	oidindex_done(&set->index);
	oidset_done(&set->excluded);
	*set = (struct sendset){ 0 };
}

uint32_t sendset_find(const struct sendset *set, const git_oid *oid)
{
	return oidindex_find(&set->index, set->objects, sizeof(*set->objects), oid);
}

static int append(struct sendset *set, const git_oid *oid)
{
	if (set->count == set->allocated) {
		uint32_t want = set->allocated ? set->allocated * 2 : 256;
		struct send_object *grown;

		if (want <= set->allocated)
			return -ENOMEM;
		grown = reallocarray(set->objects, want, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		set->objects = grown;
		set->allocated = want;
	}
	set->objects[set->count] = (struct send_object){ .oid = *oid };
	if (oidindex_add(&set->index, set->objects, sizeof(*set->objects), set->count) <
	    0)
		return -ENOMEM;
	set->count++;
	return 0;
}

int sendset_add(struct sendset *set, const git_oid *oid)
{
	if (oidset_has(&set->excluded, oid) || sendset_find(set, oid) != OIDINDEX_NONE)
		return 0;
	if (set->tick && set->count % TICK_EVERY == 0)
		set->tick(set->tick_userdata);
	return append(set, oid) < 0 ? -ENOMEM : 1;
}

int sendset_exclude(struct sendset *set, const git_oid *oid)
{
	bool is_new;

	if (!oidset_put(&set->excluded, oid, &is_new))
		return -ENOMEM;
	return is_new;
}

/* Pass every entry of a tree on: blobs to `put`, trees for which it returned 1 also to the stack. */
static int spread(struct sendset *set, git_odb_object *object, struct oid_list *stack,
		  int (*put)(struct sendset *set, const git_oid *oid))
{
	struct tree_reader reader;
	struct tree_entry entry;
	int r;

	if (git_odb_object_type(object) != GIT_OBJECT_TREE)
		return -EBADMSG;
	reader = tree_reader(git_odb_object_data(object), git_odb_object_size(object));
	while ((r = tree_next(&reader, &entry)) > 0) {
		int is_new;

		if (tree_mode_is_gitlink(entry.mode))
			continue;
		is_new = put(set, &entry.oid);
		if (is_new < 0)
			return is_new;
		if (is_new && tree_mode_is_directory(entry.mode) &&
		    oid_list_add(stack, &entry.oid) < 0)
			return -ENOMEM;
	}
	return r;
}

static int bad_tree(const git_oid *oid, int number, struct error *err)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	return error_internal(err, number, "tree %s", hex);
}

int sendset_add_tree(struct sendset *set, const git_oid *tree, struct error *err)
{
	_cleanup_oid_list_ struct oid_list stack = { 0 };
	int r = sendset_add(set, tree);

	if (r > 0)
		r = oid_list_add(&stack, tree);
	while (r >= 0 && stack.count > 0) {
		git_oid oid = stack.oids[--stack.count];
		git_odb_object *object = NULL;

		if (git_odb_read(&object, set->odb, &oid) < 0)
			return bad_tree(&oid, -ENOENT, err);
		r = spread(set, object, &stack, sendset_add);
		git_odb_object_free(object);
		if (r == -EBADMSG)
			return bad_tree(&oid, r, err);
	}
	return r < 0 ? r : 0;
}

int sendset_exclude_tree(struct sendset *set, const git_oid *tree)
{
	_cleanup_oid_list_ struct oid_list stack = { 0 };
	int r = sendset_exclude(set, tree);

	if (r > 0)
		r = oid_list_add(&stack, tree);
	while (r >= 0 && stack.count > 0) {
		git_oid oid = stack.oids[--stack.count];
		git_odb_object *object = NULL;

		if (git_odb_read(&object, set->odb, &oid) < 0)
			continue;
		r = spread(set, object, &stack, sendset_exclude);
		git_odb_object_free(object);
		if (r == -EBADMSG)
			r = 0;
	}
	return r < 0 ? r : 0;
}

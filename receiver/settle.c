/*
 * The end of a push that was judged good: its objects leave the quarantine, the ends of its history are noted, its
 * refs move. What deploys is moved later, by the job (deploy.c, upkeep.c).
 */
#include "base/str.h"
#include "receiver/receive_internal.h"

static bool changes_now(const struct push_command *c)
{
	return !c->refused && !c->deploys &&
	       !(push_is_deletion(c) && git_oid_is_zero(&c->old_oid));
}

static int move_refs(struct receive *receive)
{
	_cleanup_free_ struct ref_change *changes =
		calloc(receive->push.count, sizeof(*changes));
	struct push *push = &receive->push;
	size_t count = 0, at = 0;
	int r;

	if (!changes)
		return -ENOMEM;
	for (size_t i = 0; i < push->count; i++)
		if (changes_now(&push->commands[i]))
			changes[count++] = (struct ref_change){
				.name = push->commands[i].ref,
				.old_oid = push->commands[i].old_oid,
				.new_oid = push->commands[i].new_oid,
			};
	r = refs_apply(receive->store.fd, changes, count,
		       (push->atomic ? REFS_ATOMIC : 0) |
			       (receive->options->standalone ? 0 : REFS_SOLE_WRITER));
	for (size_t i = 0; i < push->count; i++) {
		struct push_command *c = &push->commands[i];

		if (!changes_now(c))
			continue;
		if (changes[at].message)
			receive_sayf(receive, "error: %s\n", changes[at].message);
		if (changes[at].message || r < 0)
			push_refuse(c, push->atomic          ? "atomic transaction failed"
				       : push_is_deletion(c) ? "failed to delete"
							     : "failed to update ref");
		free(changes[at].message);
		at++;
	}
	/* what is live by now stays live */
	for (size_t i = 0; push->atomic && r != REFS_E_OK && i < push->count; i++)
		if (!push->commands[i].deploys)
			push_refuse(&push->commands[i], "atomic transaction failed");
	return r < 0 ? r : 0;
}

/* The first branch of a repository becomes its HEAD if HEAD leads nowhere. */
static void set_head(struct receive *receive)
{
	const char *first = NULL;

	if (receive->refs.count > 0 || !receive->refs.head)
		return;
	for (size_t i = 0; i < receive->push.count; i++) {
		const struct push_command *c = &receive->push.commands[i];

		if (c->refused || push_is_deletion(c))
			continue;
		if (str_equal(c->ref, receive->refs.head))
			return;
		if (!first && str_after_prefix(c->ref, "refs/heads/"))
			first = c->ref;
	}
	if (first)
		(void)refs_set_head(receive->store.fd, first); /* git works without it */
}

/* Is the ref still where it is to be moved from? If not, moving it will fail. */
static int will_move(struct receive *receive, const struct push_command *c,
		     bool *ret_moves)
{
	git_oid at;
	int r = refs_read(receive->store.fd, c->ref, &at);

	if (r < 0)
		return r;
	*ret_moves =
		r == 0 ? git_oid_is_zero(&c->old_oid) : git_oid_equal(&at, &c->old_oid);
	return 0;
}

int receive_keep_boundary(struct receive *receive, struct push_command *c)
{
	struct oidset ends = { 0 };
	bool moves = true;
	int r;

	r = boundary_find(&receive->boundary, &receive->refs, &c->new_oid, &ends);
	if (r == 0 && ends.count > 0 && !c->deploys)
		r = will_move(receive, c, &moves);
	if (r == 0 && moves)
		r = c->deploys ? boundary_defer(&receive->store, &c->new_oid, &ends)
			       : store_add_shallow(&receive->store, &ends);
	oidset_done(&ends);
	if (r != STORE_E_FULL)
		return r;
	receive_say(receive, "error: the repository has too many shallow commits\n");
	push_refuse(c, "shallow update not allowed");
	return 0;
}

/* Of the refs that move now, or of those that are left to a job. */
static int keep_boundaries(struct receive *receive, bool deploys)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < receive->push.count; i++) {
		struct push_command *c = &receive->push.commands[i];

		if (!c->refused && !push_is_deletion(c) && c->deploys == deploys)
			r = receive_keep_boundary(receive, c);
	}
	return r;
}

/* Objects, then refs, while nobody else moves any. */
int receive_settle(struct receive *receive, bool refs_wait, struct error *err)
{
	_cleanup_close_ int lock = -EBADF;
	int r;

	if (push_all_refused(&receive->push))
		return 0;
	lock = store_lock(&receive->store);
	if (lock < 0)
		return error_internal(err, lock, "lock %s", receive->store.path);
	r = quarantine_migrate(&receive->quarantine, err);
	if (r < 0)
		return r;
	r = keep_boundaries(receive, true);
	if (r == 0 && !refs_wait)
		r = keep_boundaries(receive, false);
	if (r < 0)
		return error_internal(err, r, "write %s/shallow", receive->store.path);
	if (refs_wait)
		return 0;
	r = move_refs(receive);
	if (r < 0)
		return error_internal(err, r, "update refs of %s", receive->store.path);
	if (receive->options->standalone)
		set_head(receive);
	return 0;
}

/* With --atomic the other refs move when the deployment has succeeded, or not at all. */
int receive_settle_rest(struct receive *receive, struct error *err)
{
	_cleanup_close_ int lock = -EBADF;
	int r;

	push_spread_refusal(&receive->push, "atomic push failure");
	if (push_all_refused(&receive->push))
		return 0;
	lock = store_lock(&receive->store);
	if (lock < 0)
		return error_internal(err, lock, "lock %s", receive->store.path);
	r = keep_boundaries(receive, false);
	if (r == 0)
		r = move_refs(receive);
	return r < 0 ? error_internal(err, r, "update refs of %s", receive->store.path)
		     : 0;
}

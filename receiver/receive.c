/*
 * One push, in git's order: advertise, read the commands, take the pack into a quarantine, check that all is
 * there, move objects and then refs under the repository's lock, report. It runs as the project's user and
 * does one job; what a killed process leaves is swept by a later push.
 */
#include "receiver/receive_internal.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "protocol/request.h"
#include "receiver/refname.h"
#include "receiver/sandbox.h"

#define KEEP_ALIVE_SEC 5
/* Objects in one pack; each costs about a hundred bytes of memory while it is taken in. */
#define OBJECTS_MAX 20000000
/* One object: as large as its owner says where nobody else is served, less in a deployment. */
#define OBJECT_BYTES_STANDALONE ((uint64_t)4 << 30)
#define OBJECT_BYTES_DEPLOY ((uint64_t)512 << 20)
#define PACK_BYTES_DEPLOY ((uint64_t)1 << 30)
/*
 * All objects of a push, unpacked: a few MB of deltas can stand for any number of bytes, and each must be
 * hashed. The whole history of Linux, 1 GB packed, is about 65 GB.
 */
#define TOTAL_BYTES_DEPLOY ((uint64_t)128 << 30)
/* Hashing that many at an assumed 200 MB a second takes 690 s; the rest is for all else. */
#define CPU_SEC_DEPLOY 1200
/* Room for the largest object and its base, the pack mapped, and the windows of the library. */
#define MEMORY_DEPLOY ((size_t)3 << 30)
/* After a refusal in mid-pack: what the client has under way is still read, so much and so long. */
#define DRAIN_BYTES ((size_t)256 << 20)
#define DRAIN_IDLE_MSEC 300

static void receive_done(struct receive *receive)
{
	quarantine_done(&receive->quarantine);
	pack_result_done(&receive->pack);
	push_done(&receive->push);
	boundary_done(&receive->boundary);
	pktline_reader_done(&receive->in);
	pktline_writer_done(&receive->out);
	refs_done(&receive->refs);
	store_done(&receive->store);
	free(receive->unpack_failure);
}
#define _cleanup_receive_ _cleanup_(receive_done)

static time_t now(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

void receive_say(struct receive *receive, const char *text)
{
	if (receive->push.side_band) {
		pktline_put_band(&receive->out, PKTLINE_BAND_PROGRESS, text,
				 strlen(text));
		(void)pktline_send(
			&receive->out); /* a client that left is noticed later */
		receive->last_sent = now();
	} else {
		(void)io_write_all(STDERR_FILENO, text, strlen(text));
	}
}

void receive_sayf(struct receive *receive, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vformat(fmt, ap);
	va_end(ap);
	receive_say(receive, text ? text : "error: out of memory\n");
}

void receive_keep_alive(struct receive *receive)
{
	if (!receive->push.side_band || now() - receive->last_sent < KEEP_ALIVE_SEC)
		return;
	pktline_put_band(&receive->out, PKTLINE_BAND_PROGRESS, NULL, 0);
	(void)pktline_send(&receive->out); /* a client that left is noticed later */
	receive->last_sent = now();
}

static int tick(void *userdata, uint32_t done, uint32_t total)
{
	struct receive *receive = userdata;

	(void)done;
	(void)total;
	receive_keep_alive(receive);
	return receive->out.failure;
}

static void say_flaw(void *userdata, bool fatal, const git_oid *oid, const char *id,
		     const char *message)
{
	char hex[GIT_OID_HEXSZ + 1];

	receive_sayf(userdata, "%s: object %s: %s: %s\n", fatal ? "error" : "warning",
		     git_oid_tostr(hex, sizeof(hex), oid), id, message);
}

static struct pack_limits limits_of(const struct receive *receive)
{
	const struct receive_options *o = receive->options;
	struct pack_limits limits = {
		.bytes = o->max_pack_bytes,
		.object_bytes =
			o->standalone ? OBJECT_BYTES_STANDALONE : OBJECT_BYTES_DEPLOY,
		.total_bytes = o->standalone ? 0 : TOTAL_BYTES_DEPLOY,
		.objects = OBJECTS_MAX,
		.unpack_below = receive->store.settings.unpack_below,
	};

	if (limits.bytes == 0)
		limits.bytes = o->standalone ? receive->store.settings.max_input
					     : PACK_BYTES_DEPLOY;
	return limits;
}

/* The contents of .gitmodules files can be judged only when all blobs are there. */
static int check_gitmodules(struct receive *receive, struct objcheck *check,
			    struct error *err)
{
	const struct oidset_slot *slot;
	size_t at = 0;
	bool ok = true;

	while ((slot = oidset_next(&check->gitmodules, &at))) {
		git_odb_object *object = NULL;

		/* one from before was judged when it came; a missing one is found out next */
		if (!oidset_has(&receive->pack.have, &slot->oid) ||
		    git_odb_read(&object, receive->store.odb, &slot->oid) < 0)
			continue;
		ok = objcheck_gitmodules(check, &slot->oid, git_odb_object_type(object),
					 git_odb_object_data(object),
					 git_odb_object_size(object)) &&
		     ok;
		git_odb_object_free(object);
	}
	return ok ? 0
		  : error_user(err, -EPROTO, "BAD_PACK", "fsck error in pack objects");
}

/* Let the quarantined objects be found with the others. */
static int join_quarantine(struct receive *receive, struct error *err)
{
	_cleanup_free_ char *path = str_format("%s/objects/%s", receive->store.path,
					       receive->quarantine.name);

	if (!path)
		return -ENOMEM;
	return git_odb_add_disk_alternate(receive->store.odb, path) < 0
		       ? error_internal(err, -EIO, "open %s", path)
		       : 0;
}

static int take_pack(struct receive *receive, struct error *err)
{
	struct objcheck check = {
		.strict_modes = !receive->options->standalone,
		.report = say_flaw,
		.userdata = receive,
	};
	bool strict = !receive->options->standalone || receive->store.settings.fsck;
	struct pack_plan plan = {
		.in = &receive->in,
		.quarantine = &receive->quarantine,
		.odb = receive->store.odb,
		.limits = limits_of(receive),
		.check = strict ? &check : NULL,
		.shallow = &receive->boundary.told,
		.tick = tick,
		.userdata = receive,
	};
	int r;

	r = quarantine_open(&receive->store, &receive->quarantine, err);
	if (r == 0)
		r = pack_receive(&plan, &receive->pack, err);
	if (r == 0 && receive->pack.objects > 0)
		r = join_quarantine(receive, err);
	if (r == 0)
		r = boundary_judge(&receive->boundary, &receive->push, &receive->pack);
	if (r < 0 && !error_is_set(err))
		(void)error_internal(err, r, "read shallow commits");
	if (r == 0)
		r = check_gitmodules(receive, &check, err);
	objcheck_done(&check);
	return r;
}

/* Read on for a moment, so that a client in mid-pack sees our answer instead of a broken pipe. */
static void drain(struct receive *receive)
{
	struct pollfd in = { .fd = receive->in.fd, .events = POLLIN };
	size_t left = DRAIN_BYTES;
	const uint8_t *view;

	while (left > 0) {
		ssize_t n;

		if (!pktline_buffered(&receive->in) && poll(&in, 1, DRAIN_IDLE_MSEC) <= 0)
			return;
		n = pktline_peek(&receive->in, &view);
		if (n <= 0)
			return;
		pktline_take(&receive->in, (size_t)n);
		left -= (size_t)n < left ? (size_t)n : left;
	}
}

static void refuse_pack(struct receive *receive, const struct error *err)
{
	const char *program = receive->pack.unpacked ? "unpack-objects" : "index-pack";

	if (str_equal(error_code(err), PACK_HEADER_CODE)) {
		receive->unpack_failure = strdup(error_text(err, true));
	} else {
		receive_sayf(receive, "fatal: %s\n", error_text(err, true));
		receive->unpack_failure = str_format("%s abnormal exit", program);
	}
	push_refuse_rest(&receive->push, "unpacker error");
	quarantine_done(&receive->quarantine);
	drain(receive);
}

/*
 * One tip by itself, and if something is missing, once more with history ending wherever the client said: a commit
 * left by a refused push may lack its own parents.
 */
static int check_tip(struct receive *receive, struct connect *connect, const git_oid *tip)
{
	int r = connect_check_tip(connect, tip);

	if (r != 0 || receive->push.shallow_count == 0)
		return r;
	connect->shallow = &receive->boundary.told;
	r = connect_check_tip(connect, tip);
	connect->shallow = &receive->boundary.believed;
	if (r > 0)
		receive->boundary.trust = true;
	return r;
}

static int check_connected(struct receive *receive)
{
	_cleanup_free_ git_oid *tips = calloc(receive->push.count, sizeof(*tips));
	_cleanup_connect_ struct connect connect = {
		.odb = receive->store.odb,
		.refs = &receive->refs,
		.pack = &receive->pack,
		.shallow = &receive->boundary.believed,
	};
	size_t count = 0;
	int r;

	if (!tips)
		return -ENOMEM;
	for (size_t i = 0; i < receive->push.count; i++)
		if (!push_is_deletion(&receive->push.commands[i]) &&
		    !receive->push.commands[i].refused)
			tips[count++] = receive->push.commands[i].new_oid;
	r = connect_check_all(&connect, tips, count);
	if (r == 0) {
		/* what was there at the start may have moved into a new pack since */
		(void)git_odb_refresh(receive->store.odb);
		connect_done(&connect);
		r = connect_check_all(&connect, tips, count);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < receive->push.count; i++) {
		struct push_command *c = &receive->push.commands[i];

		if (push_is_deletion(c) || c->refused)
			continue;
		r = check_tip(receive, &connect, &c->new_oid);
		if (r < 0)
			return r;
		if (r == 0)
			push_refuse(c, "missing necessary objects");
	}
	return 0;
}

static const char *verb_of(const struct push_command *c)
{
	return git_oid_is_zero(&c->old_oid) ? "create"
	       : push_is_deletion(c)        ? "delete"
					    : "update";
}

bool receive_judge_name(struct receive *receive, struct push_command *c)
{
	_cleanup_free_ char *shown = NULL;
	/* git finds a long name out when it makes the lock file: after the pack, and a build */
	bool too_long = !receive->options->standalone && !push_is_deletion(c) &&
			(refname_is_too_long(c->ref) || strlen(c->ref) > REQUEST_REF_MAX);

	if (!too_long && refname_is_valid(c->ref, push_is_deletion(c)))
		return true;
	shown = escape_text(c->ref, REQUEST_REF_MAX);
	receive_sayf(receive, "error: refusing to %s funny ref '%s' remotely%s\n",
		     verb_of(c), shown ? shown : "?",
		     too_long ? ": the name is too long" : "");
	push_refuse(c, "funny refname");
	return false;
}

static void judge_deletion(struct receive *receive, struct push_command *c)
{
	const struct store_settings *settings = &receive->store.settings;
	const char *head = receive->refs.head;

	if (settings->deny_deletes && str_after_prefix(c->ref, "refs/heads/")) {
		receive_sayf(receive, "error: denying ref deletion for %s\n", c->ref);
		push_refuse(c, "deletion prohibited");
	} else if (head && str_equal(head, c->ref) && !settings->allow_delete_current) {
		receive_sayf(receive,
			     "error: refusing to delete the current branch: %s\n",
			     c->ref);
		push_refuse(c, "deletion of the current branch prohibited");
	} else if (!git_oid_is_zero(&c->old_oid) || refs_find(&receive->refs, c->ref)) {
		return;
	} else {
		receive_say(receive, "warning: deleting a non-existent ref\n");
	}
}

static int judge_fast_forward(struct receive *receive, struct push_command *c)
{
	int r;

	if (!receive->store.settings.deny_non_fast_forward ||
	    git_oid_is_zero(&c->old_oid) || !str_after_prefix(c->ref, "refs/heads/"))
		return 0;
	r = connect_reaches(receive->store.odb, &c->new_oid, 1, &c->old_oid, INT64_MIN);
	if (r != 0)
		return r < 0 ? r : 0;
	receive_sayf(receive,
		     "error: denying non-fast-forward %s (you should pull first)\n",
		     c->ref);
	push_refuse(c, "non-fast-forward");
	return 0;
}

/* Branches point to commits; anything else can have tags and other refs. */
static void judge_kind(struct receive *receive, struct push_command *c)
{
	const uint8_t *have = oidset_get(&receive->pack.have, &c->new_oid);
	git_object_t type = GIT_OBJECT_INVALID;
	char hex[GIT_OID_HEXSZ + 1];
	size_t size = 0;

	if (!str_after_prefix(c->ref, "refs/heads/") || c->refused)
		return;
	if (have ? *have == OBJCHECK_COMMIT
		 : git_odb_read_header(&size, &type, receive->store.odb, &c->new_oid) ==
				    0 &&
			    type == GIT_OBJECT_COMMIT)
		return;
	receive_sayf(
		receive,
		"error: cannot update ref '%s': trying to write non-commit object %s to "
		"branch '%s'\n",
		c->ref, git_oid_tostr(hex, sizeof(hex), &c->new_oid), c->ref);
	push_refuse(c, "failed to update ref");
}

/* What is decided ref by ref, with git's words. */
static int judge(struct receive *receive)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < receive->push.count; i++) {
		struct push_command *c = &receive->push.commands[i];

		if (c->refused)
			continue;
		if (!receive_judge_name(receive, c))
			continue;
		if (push_is_deletion(c)) {
			judge_deletion(receive, c);
		} else {
			r = judge_fast_forward(receive, c);
			judge_kind(receive, c);
		}
	}
	return r;
}

static bool any_deploys(const struct push *push)
{
	for (size_t i = 0; i < push->count; i++)
		if (push->commands[i].deploys && !push->commands[i].refused)
			return true;
	return false;
}

/* Take what the client sends behind its commands. Returns whether commands remain to be carried out. */
static int take(struct receive *receive, struct error *err)
{
	_cleanup_error_ struct error why = ERROR_INIT;
	int r;

	r = boundary_begin(&receive->boundary, &receive->store, &receive->push);
	if (r < 0 || !push_has_pack(&receive->push))
		return r;
	if (push_all_refused(&receive->push)) {
		r = pack_skip(&receive->in, limits_of(receive).bytes, &why);
		if (r < 0)
			drain(receive);
		return 0;
	}
	r = take_pack(receive, &why);
	if (r < 0) {
		refuse_pack(receive, &why);
		return 0;
	}
	receive_keep_alive(receive);
	r = check_connected(receive);
	return r < 0 ? error_internal(err, r, "check what was pushed") : 0;
}

static int carry_out(struct receive *receive, struct error *err)
{
	bool refs_wait;
	int r;

	if (!receive->options->standalone) {
		r = deploy_judge(receive);
		if (r < 0)
			return r;
		push_spread_refusal(&receive->push, "atomic push failure");
	}
	r = take(receive, err);
	if (r == 0 && !receive->options->standalone)
		r = deploy_check_content(receive);
	if (r == 0)
		r = judge(receive);
	if (r < 0)
		return r;
	push_spread_refusal(&receive->push, "atomic push failure");
	refs_wait = receive->push.atomic && any_deploys(&receive->push);
	r = receive_settle(receive, refs_wait, err);
	quarantine_done(&receive->quarantine); /* now: a deployment may take minutes */
	if (r == 0 && !receive->options->standalone)
		r = deploy_run(receive, err);
	return r == 0 && refs_wait ? receive_settle_rest(receive, err) : r;
}

static int converse(struct receive *receive, struct error *err)
{
	bool offers_options =
		receive->store.settings.push_options || !receive->options->standalone;
	int r;

	r = refs_load(receive->store.fd, &receive->refs);
	if (r < 0)
		return error_internal(err, r, "read refs of %s", receive->store.path);
	receive_advertise(receive);
	r = pktline_send(&receive->out);
	if (r < 0)
		return error_internal(err, r, "write");
	r = push_read(&receive->push, &receive->in, offers_options, err);
	if (r < 0 || receive->push.count == 0)
		return r;
	receive->last_sent = now();
	r = carry_out(receive, err);
	if (r < 0)
		return r;
	r = receive_report(receive);
	return r < 0 ? error_internal(err, r, "write") : 0;
}

int receive_run(const struct receive_options *options, struct error *err)
{
	_cleanup_receive_ struct receive receive = {
		.options = options,
		.store = { .fd = -EBADF, .objects_fd = -EBADF },
		.quarantine = { .fd = -EBADF, .pack_fd = -EBADF },
		.in = { .fd = -EBADF },
	};
	int r;

	r = sandbox_limit_memory(options->standalone ? 0 : MEMORY_DEPLOY, err);
	if (r == 0)
		r = sandbox_limit_cpu(options->standalone ? 0 : CPU_SEC_DEPLOY, err);
	if (r < 0)
		return r;
	r = store_open(options->repository, &receive.store, err);
	if (r < 0)
		return r;
	pktline_writer_init(&receive.out, STDOUT_FILENO);
	r = pktline_reader_init(&receive.in, STDIN_FILENO);
	return r < 0 ? r : converse(&receive, err);
}

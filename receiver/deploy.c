/*
 * A push that deploys: which commands may, what the tree must be like, and the conversation with hostkitd
 * and the job. The branch itself is moved by the job when the deployment has succeeded.
 */
#include <poll.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/str.h"
#include "gitobject/lfs.h"
#include "gitobject/tree.h"
#include "protocol/client.h"
#include "protocol/stream.h"
#include "receiver/receive_internal.h"

/* hostkitd hands the connection for requests over as this descriptor. */
#define REQUEST_FD 3
#define KEEP_ALIVE_MSEC 5000
#define TREE_FILES_DEFAULT 200000
/* Directories below each other, and bytes of a name, that can be unpacked everywhere. */
#define TREE_DEPTH_MAX 128
#define NAME_BYTES_MAX 255
/* So many paths of a kind are named, the others counted. */
#define NAMED_MAX 5

static char *deploy_ref(const struct receive *receive)
{
	return str_format("refs/heads/%s", receive->options->branch);
}

static int parse_push_option(const char *option, uint32_t *bits)
{
	if (str_equal(option, "detach"))
		*bits |= PUSH_OPTION_DETACH;
	else if (str_equal(option, "no-cache"))
		*bits |= PUSH_OPTION_NO_CACHE;
	else
		return -EINVAL;
	return 0;
}

static uint32_t option_bits(const struct push *push)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < push->option_count; i++)
		(void)parse_push_option(push->options[i], &bits); /* they were judged */
	return bits;
}

static void judge_options(struct receive *receive)
{
	struct push *push = &receive->push;
	uint32_t bits = 0;

	for (size_t i = 0; i < push->option_count; i++) {
		_cleanup_free_ char *shown = NULL;

		if (parse_push_option(push->options[i], &bits) == 0)
			continue;
		shown = escape_text(push->options[i], REQUEST_NAME_MAX);
		receive_sayf(receive,
			     " !     Unknown push option '%s'.\n"
			     "       There are: -o detach, -o no-cache\n",
			     shown ? shown : "?");
		push_refuse_rest(push, "unknown push option");
	}
}

static void judge_other_branch(struct receive *receive, struct push_command *c,
			       const char *branch)
{
	const char *deploys = receive->options->branch;

	if (push_is_deletion(c))
		return;
	receive_sayf(receive,
		     " !     '%s' is not the branch that deploys ('%s' is).\n"
		     "       To deploy it: git push hostkit %s:%s\n",
		     branch, deploys, branch, deploys);
	push_refuse(c, "not the branch that deploys");
}

static void judge_command(struct receive *receive, struct push_command *c,
			  const char *deploys)
{
	const char *branch = str_after_prefix(c->ref, "refs/heads/");

	if (!receive_judge_name(receive, c))
		return;
	if (str_equal(c->ref, deploys)) {
		c->deploys = !push_is_deletion(c);
		if (c->deploys)
			return;
		receive_sayf(receive,
			     " !     '%s' is the branch that deploys, it cannot be "
			     "deleted.\n"
			     "       To remove the project: ssh hostkit project delete "
			     "%s\n",
			     receive->options->branch, receive->options->project);
		push_refuse(c, "deletion prohibited");
	} else if (branch) {
		judge_other_branch(receive, c, branch);
	} else if (!str_after_prefix(c->ref, "refs/tags/")) {
		receive_sayf(receive,
			     " !     Only branches and tags are kept, not '%s'.\n"
			     "       To keep a commit as a tag: git push hostkit "
			     "COMMIT:refs/tags/NAME\n",
			     c->ref);
		push_refuse(c, "neither a branch nor a tag");
	}
}

int deploy_judge(struct receive *receive)
{
	_cleanup_free_ char *deploys = deploy_ref(receive);

	if (!deploys)
		return -ENOMEM;
	judge_options(receive);
	for (size_t i = 0; i < receive->push.count; i++)
		if (!receive->push.commands[i].refused)
			judge_command(receive, &receive->push.commands[i], deploys);
	return 0;
}

/* The walk over the tree that is to be deployed. */
struct survey {
	struct receive *receive;
	struct oidset before; /* all in the tree that is live: judged when it came */
	bool learning;        /* filling `before` */
	uint64_t files, max_files;
	struct strbuf pointers, links, names,
		deep; /* the first paths of each kind, one a line */
	size_t pointer_count, link_count, name_count, deep_count;
};

static void survey_done(struct survey *survey)
{
	oidset_done(&survey->before);
	strbuf_done(&survey->pointers);
	strbuf_done(&survey->links);
	strbuf_done(&survey->names);
	strbuf_done(&survey->deep);
}
#define _cleanup_survey_ _cleanup_(survey_done)

static void note_path(struct strbuf *list, size_t *count, const char *path)
{
	if ((*count)++ >= NAMED_MAX)
		return;
	strbuf_str(list, "         ");
	escape_append(list, path, strlen(path));
	strbuf_char(list, '\n');
}

static bool is_pointer(const struct survey *survey, const git_oid *oid)
{
	git_odb *odb = survey->receive->store.odb;
	git_odb_object *object = NULL;
	git_object_t type = 0;
	size_t size = 0;
	bool is;

	if (oidset_has(&survey->receive->pack.have, oid))
		return oidset_has(&survey->receive->pack.pointers, oid);
	if (oidset_has(&survey->before, oid))
		return false;
	/* from an earlier push of something that does not deploy */
	if (git_odb_read_header(&size, &type, odb, oid) < 0 ||
	    size >= LFS_POINTER_BYTES || git_odb_read(&object, odb, oid) < 0)
		return false;
	is = lfs_is_pointer(git_odb_object_data(object), git_odb_object_size(object));
	git_odb_object_free(object);
	return is;
}

/* *ret_below: if it is a directory, what is in it counts as well. */
static int survey_entry(struct survey *survey, const struct tree_entry *entry,
			const char *path, bool *ret_below)
{
	survey->files++;
	*ret_below = true;
	if (survey->learning)
		return oidset_put(&survey->before, &entry->oid, ret_below) ? 0 : -ENOMEM;
	if (entry->name_size > NAME_BYTES_MAX)
		note_path(&survey->names, &survey->name_count, path);
	if (tree_mode_is_gitlink(entry->mode))
		note_path(&survey->links, &survey->link_count, path);
	else if (!tree_mode_is_directory(entry->mode) && is_pointer(survey, &entry->oid))
		note_path(&survey->pointers, &survey->pointer_count, path);
	return 0;
}

static int survey_tree(struct survey *survey, const git_oid *oid, const char *prefix,
		       int depth)
{
	git_odb_object *object = NULL;
	struct tree_entry entry = { 0 };
	struct tree_reader reader;
	int r = 0;

	if (depth > TREE_DEPTH_MAX) {
		if (!survey->learning)
			note_path(&survey->deep, &survey->deep_count, prefix);
		return 0;
	}
	if (git_odb_read(&object, survey->receive->store.odb, oid) < 0)
		return -EIO;
	reader = tree_reader(git_odb_object_data(object), git_odb_object_size(object));
	while (r == 0 && survey->files <= survey->max_files &&
	       tree_next(&reader, &entry) > 0) {
		_cleanup_free_ char *path =
			str_format("%s%s%s", prefix, *prefix ? "/" : "", entry.name);
		bool below = false;

		r = path ? survey_entry(survey, &entry, path, &below) : -ENOMEM;
		if (r == 0 && below && tree_mode_is_directory(entry.mode))
			r = survey_tree(survey, &entry.oid, path, depth + 1);
	}
	git_odb_object_free(object);
	return r;
}

/* The tree of a commit. Returns 1, or 0 when oid names no commit. */
static int tree_of(const struct receive *receive, const git_oid *oid, git_oid *ret_tree)
{
	struct commit_reader reader;
	git_odb_object *object = NULL;
	bool is;

	if (git_odb_read(&object, receive->store.odb, oid) < 0)
		return 0;
	is = git_odb_object_type(object) == GIT_OBJECT_COMMIT &&
	     commit_begin(&reader, git_odb_object_data(object),
			  git_odb_object_size(object), ret_tree) == 0;
	git_odb_object_free(object);
	return is;
}

static void list_more(struct receive *receive, const struct strbuf *list, size_t count)
{
	receive_say(receive, strbuf_get(list));
	if (count > NAMED_MAX)
		receive_sayf(receive, "         and %zu more\n", count - NAMED_MAX);
}

/* Say what is wrong with the tree, all of it, and refuse the command for the first. */
static void judge_survey(struct survey *s, struct push_command *c)
{
	struct receive *receive = s->receive;

	if (s->files > s->max_files) {
		receive_sayf(receive,
			     " !     The commit has more than %llu files.\n"
			     "       Is node_modules or a virtual environment in it? "
			     "git rm -r --cached node_modules\n",
			     (unsigned long long)s->max_files);
		push_refuse(c, "too many files");
	}
	if (s->deep_count > 0) {
		receive_sayf(receive,
			     " !     The commit has directories deeper than %d:\n",
			     TREE_DEPTH_MAX);
		list_more(receive, &s->deep, s->deep_count);
	}
	if (s->name_count > 0) {
		receive_sayf(receive,
			     " !     The commit has names longer than %d bytes:\n",
			     NAME_BYTES_MAX);
		list_more(receive, &s->names, s->name_count);
	}
	if (s->deep_count > 0 || s->name_count > 0) {
		receive_say(receive, "       To move one: git mv OLD NEW && git commit\n"
				     "       To leave it out: git rm -r --cached PATH "
				     "&& git commit\n");
		push_refuse(c, "paths too long");
	}
	if (s->pointer_count > 0) {
		receive_say(receive,
			    " !     These files are in Git LFS, whose contents a "
			    "push does not bring:\n");
		list_more(receive, &s->pointers, s->pointer_count);
		receive_say(receive, "       To push them as they are: git lfs migrate "
				     "export --include='*' --everything\n");
		push_refuse(c, "Git LFS pointers");
	}
	if (s->link_count > 0) {
		receive_say(receive, " !     These directories are submodules, whose "
				     "contents a push does not bring:\n");
		list_more(receive, &s->links, s->link_count);
		receive_say(receive,
			    "       To make one an ordinary directory: git rm --cached "
			    "DIR && rm -rf DIR/.git && git add DIR\n");
		push_refuse(c, "submodules");
	}
}

static void say_trouble(struct receive *receive, const char *message,
			const char *suggestion)
{
	if (message && *message)
		receive_sayf(receive, " !     %s\n", message);
	if (suggestion && *suggestion)
		receive_sayf(receive, "       %s\n", suggestion);
}

/* Is the ref still where the client thinks it is? */
static int check_old(struct receive *receive, struct push_command *c)
{
	git_oid now = { 0 };
	int r = refs_read(receive->store.fd, c->ref, &now);

	if (r < 0)
		return r;
	if (r == 0)
		now = (git_oid){ 0 };
	if (git_oid_equal(&now, &c->old_oid))
		return 0;
	receive_sayf(receive,
		     " !     '%s' was moved by another push meanwhile.\n"
		     "       To look at it: git fetch\n",
		     c->ref);
	push_refuse(c, "failed to update ref");
	return 0;
}

/* With --atomic a ref that cannot be moved afterwards keeps the branch from being deployed. */
static int check_others(struct receive *receive)
{
	struct push *push = &receive->push;
	int r = 0;

	for (size_t i = 0; push->atomic && r == 0 && i < push->count; i++)
		if (!push->commands[i].deploys && !push->commands[i].refused)
			r = check_old(receive, &push->commands[i]);
	return r;
}

static int check_tree(struct receive *receive, struct push_command *c)
{
	_cleanup_survey_ struct survey survey = {
		.receive = receive,
		.max_files = receive->options->max_tree_files,
	};
	git_oid tree;
	int r = 0;

	if (survey.max_files == 0)
		survey.max_files = TREE_FILES_DEFAULT;
	if (!git_oid_is_zero(&c->old_oid) && tree_of(receive, &c->old_oid, &tree)) {
		survey.learning = true;
		/* what cannot be read of the old tree is looked at as if it were new */
		(void)survey_tree(&survey, &tree, "", 0);
		survey.learning = false;
		survey.files = 0;
	}
	if (!tree_of(receive, &c->new_oid, &tree)) {
		receive_sayf(receive, " !     '%s' must point to a commit.\n",
			     receive->options->branch);
		push_refuse(c, "not a commit");
		return 0;
	}
	r = survey_tree(&survey, &tree, "", 0);
	if (r == 0)
		judge_survey(&survey, c);
	return r;
}

int deploy_check_content(struct receive *receive)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < receive->push.count; i++) {
		struct push_command *c = &receive->push.commands[i];

		if (!c->deploys || c->refused)
			continue;
		/* what the client says is there now is trusted below */
		r = check_old(receive, c);
		if (r == 0 && !c->refused)
			r = check_tree(receive, c);
	}
	return r == 0 ? check_others(receive) : r;
}

static const char *short_reason(const struct stream_end *end)
{
	/* the exit statuses of docs/commands.md */
	static const char *const reasons[] = {
		[1] = "deployment failed",
		[4] = "locked",
		[5] = "build failed",
		[6] = "migration failed",
		[7] = "health check failed",
		[8] = "cancelled",
		[9] = "paused",
	};

	if (end->code && str_equal(end->code, "SUPERSEDED"))
		return "superseded";
	if (end->exit_status >= ARRAY_SIZE(reasons) || !reasons[end->exit_status])
		return reasons[1];
	return reasons[end->exit_status];
}

/*
 * One packet of the job. *told: the job itself has spoken of trouble, so its last words are known. Returns 1 to
 * go on, 0 when it is over, or a negative errno value.
 */
static int relay_one(struct receive *receive, int viewer_fd, struct push_command *c,
		     bool *told)
{
	_cleanup_(stream_end_done) struct stream_end end = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	r = stream_receive(viewer_fd, &text, &size, &end);
	if (r < 0 || r == STREAM_E_CLOSED) {
		say_trouble(receive, "The deployment was interrupted.",
			    "To see how it ended: ssh hostkit jobs");
		push_refuse(c, "deployment interrupted");
		return 0;
	}
	if (r == STREAM_E_TEXT) {
		*told = *told || str_after_prefix(text, " !     ") ||
			strstr(text, "\n !     ");
		receive_say(receive, text);
		return pktline_send(&receive->out) < 0 ? -EPIPE : 1;
	}
	if (end.exit_status != 0) {
		if (!*told)
			say_trouble(receive, end.message, end.suggestion);
		push_refuse(c, short_reason(&end));
	}
	return 0;
}

/*
 * Show the job's output until it ends. A client that went away shows as a failed write, at the latest with the
 * next keep-alive; the job goes on without it.
 */
static int relay(struct receive *receive, int viewer_fd, struct push_command *c)
{
	struct pollfd viewer = { .fd = viewer_fd, .events = POLLIN };
	bool told = false;
	int r = 1;

	while (r > 0) {
		r = poll(&viewer, 1, KEEP_ALIVE_MSEC);
		if (r < 0)
			r = errno == EINTR ? 1 : -errno;
		else if (r > 0)
			r = relay_one(receive, viewer_fd, c, &told);
		else {
			receive_keep_alive(receive);
			r = pktline_send(&receive->out) < 0 ? -EPIPE : 1;
		}
	}
	return r;
}

/* A detached client hears "ok" now, so the branch moves now; the job finds it moved. */
static int move_now(struct receive *receive, struct push_command *c)
{
	struct ref_change change = { .name = c->ref,
				     .old_oid = c->old_oid,
				     .new_oid = c->new_oid };
	_cleanup_close_ int lock = store_lock(&receive->store);
	int r;

	if (lock < 0)
		return lock;
	r = boundary_settle(&receive->store, &c->new_oid);
	if (r != 0)
		return r < 0 ? r : -EFBIG;
	r = refs_apply(receive->store.fd, &change, 1, REFS_ATOMIC | REFS_SOLE_WRITER);
	if (change.message)
		receive_sayf(receive, "error: %s\n", change.message);
	free(change.message);
	if (r == REFS_E_SOME_FAILED)
		push_refuse(c, "failed to update ref");
	return r < 0 ? r : 0;
}

/* HEAD names the branch that deploys, so that a clone checks it out. */
static void set_head(struct receive *receive, const struct push_command *c)
{
	const char *head = receive->refs.head;

	if (!head || (!str_equal(head, c->ref) && !refs_find(&receive->refs, head)))
		(void)refs_set_head(receive->store.fd, c->ref); /* git works without it */
}

static int request(struct client *client, const struct push_command *c, uint32_t options,
		   struct client_answer *ret_answer, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	char hex[GIT_OID_HEXSZ + 1];

	wire_put_string(&args, c->ref);
	wire_put_string(&args, git_oid_tostr(hex, sizeof(hex), &c->old_oid));
	wire_put_string(&args, git_oid_tostr(hex, sizeof(hex), &c->new_oid));
	wire_put_u32(&args, options);
	return client_call(client, REQUEST_PUSH_ACCEPT, &args, NULL, 0, ret_answer, err);
}

static int accept_push(struct receive *receive, struct client *client,
		       struct push_command *c)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_error_ struct error why = ERROR_INIT;
	uint32_t options = option_bits(&receive->push);
	_cleanup_close_ int viewer_fd = -EBADF;
	int64_t job = 0;
	int r;

	r = request(client, c, options, &answer, &why);
	if (r == 0) {
		job = wire_i64(&answer.body);
		r = wire_end(&answer.body);
	}
	if (r < 0 || answer.packet.fd_count != 1) {
		say_trouble(receive, error_text(&why, false), why.suggestion);
		push_refuse(c, "not accepted");
		return 0;
	}
	viewer_fd = TAKE_FD(answer.packet.fds[0]);
	set_head(receive, c);
	if (!(options & PUSH_OPTION_DETACH))
		return relay(receive, viewer_fd, c);

	r = move_now(receive, c);
	if (r == 0 && !c->refused)
		receive_sayf(receive,
			     "-----> Accepted as job %lld\n"
			     "       To follow it: ssh hostkit logs %s --build %lld -f\n",
			     (long long)job, receive->options->project, (long long)job);
	return r;
}

int deploy_run(struct receive *receive, struct error *err)
{
	_cleanup_(client_freep) struct client *client = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < receive->push.count; i++) {
		struct push_command *c = &receive->push.commands[i];

		if (!c->deploys || c->refused)
			continue;
		r = check_old(receive, c);
		if (r == 0 && !c->refused && !client)
			r = client_from_fd(REQUEST_FD, &client);
		if (r == 0 && !c->refused)
			r = accept_push(receive, client, c);
	}
	return r < 0 ? error_internal(err, r, "start the deployment") : 0;
}

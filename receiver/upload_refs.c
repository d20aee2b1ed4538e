/* Telling a client which refs there are (gitprotocol-pack(5), "Reference Discovery"; gitprotocol-v2(5)). */
#include "receiver/upload_internal.h"

#include "base/str.h"
#include "gitobject/tree.h"

/* Tags of tags of tags ... end somewhere. */
#define PEEL_MAX 64

static int object_type(struct upload *upload, const git_oid *oid)
{
	git_object_t type;
	size_t size;

	/* a miss must not look for new packs each time */
	if (!git_odb_exists_ext(upload->odb, oid, GIT_ODB_LOOKUP_NO_REFRESH) ||
	    git_odb_read_header(&size, &type, upload->odb, oid) < 0)
		return -ENOENT;
	return type;
}

static int read_tag(struct upload *upload, const git_oid *oid, git_oid *ret_target)
{
	git_odb_object *object = NULL;
	int r, type;

	if (git_odb_read(&object, upload->odb, oid) < 0)
		return -ENOENT;
	r = tag_target(git_odb_object_data(object), git_odb_object_size(object),
		       ret_target, &type);
	git_odb_object_free(object);
	return r;
}

int upload_peel(struct upload *upload, const git_oid *oid, git_oid *ret_oid,
		int *ret_type)
{
	git_oid at = *oid;
	int type = object_type(upload, &at);

	if (type < 0)
		return -ENOENT;
	for (int depth = 0; type == GIT_OBJECT_TAG; depth++) {
		git_oid target;

		if (depth == PEEL_MAX || read_tag(upload, &at, &target) < 0)
			return -ENOENT;
		at = target;
		type = object_type(upload, &at);
		if (type < 0)
			return -ENOENT;
	}
	*ret_oid = at;
	*ret_type = type;
	return !git_oid_equal(&at, oid);
}

int upload_head(struct upload *upload, git_oid *ret_oid)
{
	const struct ref *ref;

	if (!upload->refs.head)
		return refs_read(upload->repo_fd, "HEAD", ret_oid) > 0;
	ref = refs_find(&upload->refs, upload->refs.head);
	if (!ref)
		return 0;
	*ret_oid = ref->oid;
	return 1;
}

static void oid_text(const git_oid *oid, char ret_hex[GIT_OID_HEXSZ + 1])
{
	git_oid_tostr(ret_hex, GIT_OID_HEXSZ + 1, oid);
}

static char *capabilities(struct upload *upload, bool head)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	strbuf_str(&buf, "multi_ack thin-pack side-band side-band-64k ofs-delta shallow "
			 "deepen-since deepen-not deepen-relative no-progress "
			 "include-tag multi_ack_detailed");
	if (head && upload->refs.head)
		strbuf_format(&buf, " symref=HEAD:%s", upload->refs.head);
	strbuf_str(&buf, " object-format=sha1 agent=hostkit/" HOSTKIT_VERSION);
	return strbuf_steal(&buf);
}

/* One ref of the old advertisement; the first one carries the capabilities, which are used up. */
static void advertise_ref(struct upload *upload, const char *name, const git_oid *oid,
			  char **capability_list)
{
	_cleanup_free_ char *list = TAKE_PTR(*capability_list);
	char hex[GIT_OID_HEXSZ + 1];
	git_oid peeled;
	int type, r;

	r = upload_peel(upload, oid, &peeled, &type);
	if (r < 0) {
		/* as git does: a ref to nothing is not there */
		*capability_list = TAKE_PTR(list);
		return;
	}
	oid_text(oid, hex);
	if (list) {
		_cleanup_strbuf_ struct strbuf line = { 0 };

		strbuf_format(&line, "%s %s", hex, name);
		strbuf_char(&line, '\0');
		strbuf_format(&line, "%s\n", list);
		pktline_put(&upload->writer, strbuf_get(&line), line.size);
	} else {
		pktline_format(&upload->writer, "%s %s\n", hex, name);
	}
	if (r > 0) {
		oid_text(&peeled, hex);
		pktline_format(&upload->writer, "%s %s^{}\n", hex, name);
	}
}

void upload_advertise_v0(struct upload *upload)
{
	_cleanup_free_ char *list = NULL;
	git_oid head;
	int has_head = upload_head(upload, &head);

	list = capabilities(upload, has_head > 0);
	if (!list) {
		upload->writer.failure = -ENOMEM;
		return;
	}
	if (upload->version == 1)
		pktline_format(&upload->writer, "version 1\n");
	if (has_head > 0)
		advertise_ref(upload, "HEAD", &head, &list);
	for (size_t i = 0; i < upload->refs.count; i++)
		advertise_ref(upload, upload->refs.list[i].name,
			      &upload->refs.list[i].oid, &list);
	for (size_t i = 0; i < upload->roots.count; i++) {
		char hex[GIT_OID_HEXSZ + 1];

		oid_text(&upload->roots.oids[i], hex);
		pktline_format(&upload->writer, "shallow %s\n", hex);
	}
	pktline_put_flush(&upload->writer);
}

static bool is_asked_for(const struct upload_ls_refs *ls, const char *name)
{
	if (ls->prefixes.count == 0 || ls->everything)
		return true;
	for (size_t i = 0; i < ls->prefixes.count; i++)
		if (str_after_prefix(name, ls->prefixes.words[i]))
			return true;
	return false;
}

static void list_ref(struct upload *upload, const struct upload_ls_refs *ls,
		     const char *name, const git_oid *oid, const char *symref)
{
	_cleanup_strbuf_ struct strbuf line = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	git_oid peeled;
	int type, r;

	if (!is_asked_for(ls, name))
		return;
	r = upload_peel(upload, oid, &peeled, &type);
	if (r < 0)
		return;
	oid_text(oid, hex);
	strbuf_format(&line, "%s %s", hex, name);
	if (ls->symrefs && symref)
		strbuf_format(&line, " symref-target:%s", symref);
	if (ls->peel && r > 0) {
		oid_text(&peeled, hex);
		strbuf_format(&line, " peeled:%s", hex);
	}
	pktline_format(&upload->writer, "%s\n", strbuf_get(&line));
}

void upload_list_refs(struct upload *upload, const struct upload_ls_refs *ls)
{
	const char *target = upload->refs.head;
	git_oid head;

	if (upload_head(upload, &head) > 0)
		list_ref(upload, ls, "HEAD", &head, target);
	else if (ls->unborn && ls->symrefs && target && is_asked_for(ls, "HEAD"))
		pktline_format(&upload->writer, "unborn HEAD symref-target:%s\n", target);
	for (size_t i = 0; i < upload->refs.count; i++)
		list_ref(upload, ls, upload->refs.list[i].name, &upload->refs.list[i].oid,
			 NULL);
	pktline_put_flush(&upload->writer);
}

int upload_find_ref(struct upload *upload, const char *name, git_oid *ret_oid)
{
	/* gitrevisions(7) */
	static const char *const rules[] = { "%s",
					     "refs/%s",
					     "refs/tags/%s",
					     "refs/heads/%s",
					     "refs/remotes/%s",
					     "refs/remotes/%s/HEAD" };
	int found = 0;

	if (str_equal(name, "HEAD"))
		return upload_head(upload, ret_oid);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_cleanup_strbuf_ struct strbuf full = { 0 };
		const char *mark = strstr(rules[i], "%s");
		const struct ref *ref;

		strbuf_append(&full, rules[i], (size_t)(mark - rules[i]));
		strbuf_str(&full, name);
		strbuf_str(&full, mark + strlen("%s"));
		ref = refs_find(&upload->refs, strbuf_get(&full));
		if (!ref)
			continue;
		found++;
		*ret_oid = ref->oid;
	}
	return found == 1;
}

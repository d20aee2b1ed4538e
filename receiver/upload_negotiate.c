/* What the client wants, and what both sides have. */
#include "receiver/upload_internal.h"

#include "receiver/oidset.h"

static void oid_list_clear(struct oid_list *list)
{
	list->count = 0;
}

void upload_request_begin(struct upload *upload)
{
	upload_request_done(&upload->request);
	graph_reset(&upload->graph);
	upload->want_commits.count = 0;
	upload->have_commits.count = 0;
	upload->client_shallow.count = 0;
	oid_list_clear(&upload->want_objects);
	oid_list_clear(&upload->have_objects);
	upload->oldest_have = INT64_MAX;
	upload->ready = -1;
}

/* As git says it: also the words of the ERR packet. */
static int not_our_ref(const git_oid *oid, struct error *err)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	return error_user(err, -ENOENT, "GIT_NOT_OUR_REF", "upload-pack: not our ref %s",
			  hex);
}

static int add_want(struct upload *upload, const git_oid *oid, struct error *err)
{
	git_oid target;
	uint32_t number;
	int type;
	int r = upload_peel(upload, oid, &target, &type);

	if (r < 0)
		return not_our_ref(oid, err);
	if (r > 0 && oid_list_add(&upload->want_objects, oid) < 0)
		return -ENOMEM;
	if (type != GIT_OBJECT_COMMIT)
		return r > 0 ? 0 : oid_list_add(&upload->want_objects, &target);

	r = graph_add(&upload->graph, &target, &number);
	if (r < 0)
		return r;
	return graph_list_add(&upload->want_commits, number);
}

static int collect_tips(struct upload *upload, struct oidset *tips)
{
	git_oid head;

	if (upload_head(upload, &head) > 0 && !oidset_put(tips, &head, NULL))
		return -ENOMEM;
	for (size_t i = 0; i < upload->refs.count; i++)
		if (!oidset_put(tips, &upload->refs.list[i].oid, NULL))
			return -ENOMEM;
	return 0;
}

static int resolve_wants(struct upload *upload, const struct oidset *tips,
			 struct error *err)
{
	for (size_t i = 0; i < upload->request.wants.count; i++) {
		const git_oid *oid = &upload->request.wants.oids[i];
		int r;

		if (tips && !oidset_has(tips, oid))
			return not_our_ref(oid, err);
		r = add_want(upload, oid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int upload_resolve_wants(struct upload *upload, bool tips_only, struct error *err)
{
	struct oidset tips = { 0 };
	int r = tips_only ? collect_tips(upload, &tips) : 0;

	if (r >= 0)
		r = resolve_wants(upload, tips_only ? &tips : NULL, err);
	oidset_done(&tips);
	return r;
}

static int have_commit(struct upload *upload, const git_oid *oid)
{
	struct graph *graph = &upload->graph;
	uint32_t number;
	bool known;

	if (graph_add(graph, oid, &number) < 0)
		return -ENOMEM;
	known = graph->commits[number].flags & GRAPH_HAVE;
	graph->commits[number].flags |= GRAPH_HAVE;
	if (graph->commits[number].time < upload->oldest_have)
		upload->oldest_have = graph->commits[number].time;
	for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
		graph->commits[graph_parent(graph, number, i)].flags |= GRAPH_HAVE;
	upload->ready = -1;
	return known ? 0 : graph_list_add(&upload->have_commits, number);
}

int upload_have(struct upload *upload, const git_oid *oid)
{
	git_oid target;
	int type;
	int r = upload_peel(upload, oid, &target, &type);

	if (r < 0)
		return 0;
	if ((r > 0 || type != GIT_OBJECT_COMMIT) &&
	    upload_add_oid(&upload->have_objects, oid, NULL) < 0)
		return -ENOMEM;
	if (type == GIT_OBJECT_COMMIT && have_commit(upload, &target) < 0)
		return -ENOMEM;
	return 1;
}

int upload_ready(struct upload *upload)
{
	/* asked for every "have" that is not known here: only a new common commit changes the answer */
	if (upload->ready < 0)
		upload->ready = upload->have_commits.count == 0
					? 0
					: graph_all_reach_have(&upload->graph,
							       &upload->want_commits,
							       upload->oldest_have);
	return upload->ready;
}

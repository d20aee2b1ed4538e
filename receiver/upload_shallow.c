/* Shallow clones: where a client's history ends now, and where it will. */
#include "receiver/upload_internal.h"

static void put_line(struct upload *upload, const char *word, uint32_t number)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), &upload->graph.commits[number].oid);
	pktline_format(&upload->writer, "%s %s\n", word, hex);
}

static int read_client_shallow(struct upload *upload, struct error *err)
{
	struct graph *graph = &upload->graph;

	for (size_t i = 0; i < upload->request.shallows.count; i++) {
		const git_oid *oid = &upload->request.shallows.oids[i];
		char hex[GIT_OID_HEXSZ + 1];
		git_oid target;
		uint32_t number;
		int type, r;

		r = upload_peel(upload, oid, &target, &type);
		if (r < 0)
			continue; /* a boundary in history that is not ours */
		git_oid_tostr(hex, sizeof(hex), oid);
		if (r > 0 || type != GIT_OBJECT_COMMIT)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "invalid shallow object %s", hex);
		if (graph_add(graph, oid, &number) < 0)
			return -ENOMEM;
		if (graph->commits[number].flags & GRAPH_CLIENT_SHALLOW)
			continue;
		graph->commits[number].flags |= GRAPH_CLIENT_SHALLOW;
		if (graph_list_add(&upload->client_shallow, number) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int put_shallow(struct upload *upload, const struct graph_list *boundary)
{
	struct graph *graph = &upload->graph;

	for (size_t i = 0; i < boundary->count; i++) {
		uint32_t number = boundary->numbers[i];
		uint32_t *flags = &graph->commits[number].flags;

		if (*flags & (GRAPH_CLIENT_SHALLOW | GRAPH_NOT_SHALLOW))
			continue;
		put_line(upload, "shallow", number);
		*flags |= GRAPH_CUT;
	}
	return 0;
}

/* The client gets the parents of what it had without: they are wanted, the commit itself it has. */
static int put_unshallow(struct upload *upload)
{
	struct graph *graph = &upload->graph;

	for (size_t i = 0; i < upload->client_shallow.count; i++) {
		uint32_t number = upload->client_shallow.numbers[i];

		if (!(graph->commits[number].flags & GRAPH_NOT_SHALLOW))
			continue;
		put_line(upload, "unshallow", number);
		for (uint32_t p = 0; p < graph->commits[number].parent_count; p++)
			if (graph_list_add(&upload->want_commits,
					   graph_parent(graph, number, p)) < 0)
				return -ENOMEM;
		if (graph_list_add(&upload->have_commits, number) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int cut_at_depth(struct upload *upload, uint32_t depth,
			struct graph_list *ret_boundary)
{
	struct graph *graph = &upload->graph;
	const struct graph_list *tips = &upload->want_commits;

	if (depth == GRAPH_DEPTH_INFINITE && upload->roots.count == 0) {
		for (size_t i = 0; i < upload->client_shallow.count; i++)
			graph->commits[upload->client_shallow.numbers[i]].flags |=
				GRAPH_NOT_SHALLOW;
		return 0;
	}
	if (upload->request.depth_relative) {
		tips = &upload->client_shallow;
		if (depth < GRAPH_DEPTH_INFINITE)
			depth++;
	}
	return graph_cut_at_depth(graph, tips, depth, ret_boundary);
}

static int cut_by_rule(struct upload *upload, struct graph_list *ret_boundary,
		       struct error *err)
{
	_cleanup_graph_list_ struct graph_list hidden = { 0 };
	int64_t selected;

	for (size_t i = 0; i < upload->request.not_refs.count; i++) {
		const char *name = upload->request.not_refs.words[i];
		git_oid oid, target;
		uint32_t number;
		int type;

		if (upload_find_ref(upload, name, &oid) <= 0 ||
		    upload_peel(upload, &oid, &target, &type) < 0)
			return error_user(
				err, -ENOENT, "GIT_PROTOCOL",
				"git upload-pack: ambiguous deepen-not: deepen-not %s",
				name);
		if (type != GIT_OBJECT_COMMIT)
			continue;
		if (graph_add(&upload->graph, &target, &number) < 0 ||
		    graph_list_add(&hidden, number) < 0)
			return -ENOMEM;
	}
	selected = graph_cut_by_rule(&upload->graph, &upload->want_commits,
				     upload->request.since, &hidden, ret_boundary);
	if (selected < 0)
		return -ENOMEM;
	if (selected == 0)
		return error_user(err, -ENOENT, "GIT_PROTOCOL",
				  "no commits selected for shallow requests");
	return 0;
}

static int deepen(struct upload *upload, struct error *err)
{
	_cleanup_graph_list_ struct graph_list boundary = { 0 };
	const struct upload_request *request = &upload->request;
	bool by_rule = request->since > 0 || request->not_refs.count > 0;
	int r;

	if (by_rule && request->depth > 0)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "git upload-pack: deepen and deepen-since (or "
				  "deepen-not) cannot be used together");
	r = by_rule ? cut_by_rule(upload, &boundary, err)
		    : cut_at_depth(upload,
				   request->depth ? request->depth : GRAPH_DEPTH_INFINITE,
				   &boundary);
	if (r >= 0)
		r = put_shallow(upload, &boundary);
	return r < 0 ? r : put_unshallow(upload);
}

int upload_shallow_lines(struct upload *upload, struct error *err)
{
	bool deepens = upload_request_deepens(&upload->request);
	int r = read_client_shallow(upload, err);

	if (r < 0)
		return r;
	/* version 2 has no other place to say where this repository itself ends */
	if (deepens || (upload->version == 2 && upload->roots.count > 0)) {
		r = deepen(upload, err);
		if (r < 0)
			return r;
	}
	/* from here on walks see history as the client does */
	for (size_t i = 0; i < upload->client_shallow.count; i++)
		upload->graph.commits[upload->client_shallow.numbers[i]].flags |=
			GRAPH_CUT;
	return deepens;
}

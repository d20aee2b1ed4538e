/* Choosing the objects of a pack and sending it, in side-band packets where the client knows them. */
#include "receiver/upload_internal.h"

#include "base/str.h"
#include "gitobject/tree.h"
#include "receiver/packwriter.h"

/* A client that hears nothing for long may give up (gitprotocol-v2(5), "keepalive"). */
#define KEEPALIVE_SEC 5
/* How many of the commits that both have are looked into for trees that need not be sent. */
#define EDGES_MAX 64
/* Bytes of a pack gathered for one packet. */
#define CHUNK_SIZE (PKTLINE_DATA_MAX - 1)

struct sending {
	struct upload *upload;
	struct sendset set;
	struct packs packs;
	struct strbuf chunk;
	time_t last_progress;
};

static time_t now_sec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* cannot fail */
	return ts.tv_sec;
}

static bool has_band(const struct upload *upload)
{
	return upload->request.band_max > 0;
}

/* Written out at once: for what a person or a timer waits for. */
static void put_band_now(struct upload *upload, enum pktline_band band, const char *text)
{
	pktline_put_band(&upload->writer, band, text, strlen(text));
	(void)pktline_send(&upload->writer); /* the failure sticks */
	upload->last_sent = now_sec();
}

static void put_progress(struct upload *upload, const char *text)
{
	if (has_band(upload) && !upload->request.no_progress)
		put_band_now(upload, PKTLINE_BAND_PROGRESS, text);
}

/* While objects are counted: say how many each second, and that we are alive. */
static void on_tick(void *userdata)
{
	struct sending *sending = userdata;
	struct upload *upload = sending->upload;
	time_t now = now_sec();

	if (now > sending->last_progress && !upload->request.no_progress) {
		_cleanup_free_ char *text =
			str_format("Enumerating objects: %u\r", sending->set.count);

		sending->last_progress = now;
		if (text)
			put_progress(upload, text);
	}
	if (has_band(upload) && now - upload->last_sent >= KEEPALIVE_SEC)
		put_band_now(upload, PKTLINE_BAND_DATA, "");
}

static int put_chunk(struct sending *sending)
{
	struct upload *upload = sending->upload;

	if (strbuf_failed(&sending->chunk))
		return -ENOMEM;
	if (has_band(upload))
		pktline_put_band(&upload->writer, PKTLINE_BAND_DATA, sending->chunk.data,
				 sending->chunk.size);
	else
		pktline_put_raw(&upload->writer, sending->chunk.data,
				sending->chunk.size);
	strbuf_clear(&sending->chunk);
	upload->last_sent = now_sec();
	return pktline_send(&upload->writer);
}

static int on_bytes(void *userdata, const void *data, size_t size)
{
	struct sending *sending = userdata;
	const char *p = data;

	while (size > 0) {
		size_t room = CHUNK_SIZE - sending->chunk.size;
		size_t n = size < room ? size : room;
		int r;

		strbuf_append(&sending->chunk, p, n);
		p += n;
		size -= n;
		if (n < room)
			break;
		r = put_chunk(sending);
		if (r < 0)
			return r;
	}
	return 0;
}

static void on_progress(void *userdata, uint32_t done, uint32_t total)
{
	(void)total;
	if (done % 256 == 0)
		on_tick(userdata);
}

/* Tags, and wanted or common objects that are no commits. */
static int add_objects(struct sending *sending, struct error *err)
{
	struct upload *upload = sending->upload;

	for (size_t i = 0; i < upload->want_objects.count; i++) {
		git_oid at = upload->want_objects.oids[i];
		git_object_t type;
		size_t size;
		int r;

		if (git_odb_read_header(&size, &type, upload->odb, &at) < 0)
			return error_internal(err, -ENOENT, "wanted object");
		r = type == GIT_OBJECT_TREE ? sendset_add_tree(&sending->set, &at, err)
					    : sendset_add(&sending->set, &at);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A tag that points to another tag takes that along, down to what is no tag. */
static int add_tag_chain(struct sending *sending, const git_oid *tag, struct error *err)
{
	git_oid at = *tag;

	for (;;) {
		git_odb_object *object = NULL;
		git_oid target;
		int r, type = 0;

		if (git_odb_read(&object, sending->upload->odb, &at) < 0)
			return error_internal(err, -ENOENT, "tag");
		if (git_odb_object_type(object) != GIT_OBJECT_TAG) {
			type = git_odb_object_type(object);
			git_odb_object_free(object);
			if (type == GIT_OBJECT_TREE)
				return sendset_add_tree(&sending->set, &at, err);
			if (type == GIT_OBJECT_BLOB)
				return sendset_add(&sending->set, &at);
			return 0; /* commits are chosen by the graph */
		}
		r = tag_target(git_odb_object_data(object), git_odb_object_size(object),
			       &target, &type);
		git_odb_object_free(object);
		if (r >= 0)
			r = sendset_add(&sending->set, &at);
		if (r < 0)
			return r;
		at = target;
	}
}

static int add_wanted_tags(struct sending *sending, struct error *err)
{
	struct upload *upload = sending->upload;

	for (size_t i = 0; i < upload->want_objects.count; i++) {
		int r = add_tag_chain(sending, &upload->want_objects.oids[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* With include-tag: annotated tags of what is sent go along unasked. */
static int add_tags_of_sent(struct sending *sending, struct error *err)
{
	struct upload *upload = sending->upload;

	for (size_t i = 0; i < upload->refs.count; i++) {
		const struct ref *ref = &upload->refs.list[i];
		git_oid target;
		int type, r;

		if (!str_after_prefix(ref->name, "refs/tags/") ||
		    upload_peel(upload, &ref->oid, &target, &type) <= 0 ||
		    sendset_find(&sending->set, &target) == OIDINDEX_NONE)
			continue;
		r = add_tag_chain(sending, &ref->oid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int exclude_common(struct sending *sending, const struct graph_list *commits)
{
	struct upload *upload = sending->upload;
	struct graph *graph = &upload->graph;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < upload->have_objects.count; i++) {
		const git_oid *oid = &upload->have_objects.oids[i];

		r = sendset_exclude(&sending->set, oid);
	}
	for (size_t i = 0; r >= 0 && i < upload->have_commits.count && i < EDGES_MAX; i++)
		r = sendset_exclude_tree(
			&sending->set,
			&graph->commits[upload->have_commits.numbers[i]].tree);

	/* the parents that end what is sent: most of their trees are what is sent */
	for (size_t i = 0; i < commits->count; i++) {
		uint32_t number = commits->numbers[i];

		for (uint32_t p = 0; r >= 0 && p < graph->commits[number].parent_count;
		     p++) {
			const struct graph_commit *parent =
				&graph->commits[graph_parent(graph, number, p)];

			if (parent->flags & GRAPH_EXCLUDED)
				r = sendset_exclude_tree(&sending->set, &parent->tree);
		}
	}
	return r < 0 ? r : 0;
}

static int add_commits(struct sending *sending, const struct graph_list *commits,
		       struct error *err)
{
	struct graph *graph = &sending->upload->graph;

	for (size_t i = 0; i < commits->count; i++) {
		const struct graph_commit *commit = &graph->commits[commits->numbers[i]];

		if (commit->flags & GRAPH_MISSING) {
			char hex[GIT_OID_HEXSZ + 1];

			git_oid_tostr(hex, sizeof(hex), &commit->oid);
			return error_internal(err, -ENOENT, "commit %s", hex);
		}
		if (sendset_add(&sending->set, &commit->oid) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < commits->count; i++) {
		int r = sendset_add_tree(&sending->set,
					 &graph->commits[commits->numbers[i]].tree, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int choose_objects(struct sending *sending, struct error *err)
{
	_cleanup_graph_list_ struct graph_list commits = { 0 };
	struct upload *upload = sending->upload;
	_cleanup_free_ char *text = NULL;
	int r;

	r = graph_select(&upload->graph, &upload->want_commits, &upload->have_commits,
			 &commits);
	if (r >= 0)
		r = exclude_common(sending, &commits);
	if (r >= 0)
		r = add_commits(sending, &commits, err);
	if (r >= 0)
		r = add_wanted_tags(sending, err);
	if (r >= 0)
		r = add_objects(sending, err);
	if (r >= 0 && upload->request.include_tag)
		r = add_tags_of_sent(sending, err);
	if (r < 0)
		return r;

	text = str_format("Enumerating objects: %u, done.\n", sending->set.count);
	if (!text)
		return -ENOMEM;
	put_progress(upload, text);
	return 0;
}

static int write_pack(struct sending *sending, struct error *err)
{
	struct upload *upload = sending->upload;
	const struct packwriter_options options = {
		.ofs_delta = upload->request.ofs_delta,
		.thin = upload->request.thin,
	};
	const struct packwriter_sink sink = { on_bytes, on_progress, sending };
	struct packwriter_stats stats = { 0 };
	_cleanup_free_ char *text = NULL;
	int r;

	r = packs_open(upload->repo_fd, &sending->packs);
	if (r < 0)
		return error_internal(err, r, "open packs");
	r = packwriter_run(&sending->set, &sending->packs, &options, &sink, &stats, err);
	if (r >= 0 && sending->chunk.size > 0)
		r = put_chunk(sending);
	if (r < 0)
		return r;

	text = str_format("Total %u (delta %u), reused %u\n", sending->set.count,
			  stats.deltas, stats.copied);
	if (text)
		put_progress(upload, text);
	return 0;
}

int upload_send_pack(struct upload *upload, struct error *err)
{
	struct sending sending = { .upload = upload };
	int r;

	upload->packing = true;
	upload->last_sent = now_sec();
	if (has_band(upload))
		upload->writer.band_max = upload->request.band_max;
	sending.last_progress = upload->last_sent;
	sending.set.odb = upload->odb;
	sending.set.tick = on_tick;
	sending.set.tick_userdata = &sending;
	upload->graph.tick = on_tick;
	upload->graph.tick_userdata = &sending;

	r = choose_objects(&sending, err);
	if (r >= 0)
		r = write_pack(&sending, err);

	upload->graph.tick = NULL;
	sendset_done(&sending.set);
	packs_done(&sending.packs);
	strbuf_done(&sending.chunk);
	if (r < 0)
		return r;
	if (has_band(upload))
		pktline_put_flush(&upload->writer);
	upload->packing = false;
	return pktline_send(&upload->writer);
}

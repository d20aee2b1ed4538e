/* Version 2 of the protocol (gitprotocol-v2(5)): commands, each answered without memory of the last. */
#include "receiver/upload_internal.h"

static void advertise(struct upload *upload)
{
	static const char *const lines[] = {
		"version 2\n",      "agent=hostkit/" HOSTKIT_VERSION "\n",
		"ls-refs=unborn\n", "fetch=shallow wait-for-done\n",
		"server-option\n",  "object-format=sha1\n",
		"object-info\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		pktline_format(&upload->writer, "%s", lines[i]);
	pktline_put_flush(&upload->writer);
}

/* Pass each argument to `line`, up to the flush. */
static int read_arguments(struct upload *upload, const char *command,
			  int (*take)(void *userdata, const char *line,
				      struct error *err),
			  void *userdata, struct error *err)
{
	for (;;) {
		const char *line;
		size_t size;
		int r = pktline_read_chomped(&upload->reader, &line, &size, err);

		if (r < 0)
			return r;
		if (r == PKTLINE_E_FLUSH)
			return 0;
		if (r != PKTLINE_E_DATA)
			return error_user(err, -EPROTO, "GIT_PROTOCOL",
					  "expected flush after %s arguments", command);
		r = take(userdata, line, err);
		if (r < 0)
			return r;
	}
}

static int take_ls_refs(void *userdata, const char *line, struct error *err)
{
	return upload_ls_refs_line(userdata, line, err);
}

static int run_ls_refs(struct upload *upload, bool arguments, struct error *err)
{
	_cleanup_upload_ls_refs_ struct upload_ls_refs ls = { 0 };
	int r = arguments ? read_arguments(upload, "ls-refs", take_ls_refs, &ls, err) : 0;

	if (r < 0)
		return r;
	upload_list_refs(upload, &ls);
	return 0;
}

static int take_fetch(void *userdata, const char *line, struct error *err)
{
	return upload_request_line_v2(userdata, line, err);
}

/* Answer the haves. Returns 1 to go on with the pack, 0 when the client has to say more, or -errno. */
static int answer_haves(struct upload *upload)
{
	const struct upload_request *request = &upload->request;
	size_t common = 0;
	int r;

	if (!request->done)
		pktline_format(&upload->writer, "acknowledgments\n");
	for (size_t i = 0; i < request->haves.count; i++) {
		char hex[GIT_OID_HEXSZ + 1];

		r = upload_have(upload, &request->haves.oids[i]);
		if (r < 0)
			return r;
		common += (size_t)r;
		if (r == 0 || request->done)
			continue;
		git_oid_tostr(hex, sizeof(hex), &request->haves.oids[i]);
		pktline_format(&upload->writer, "ACK %s\n", hex);
	}
	if (request->done)
		return 1;
	if (common == 0)
		pktline_format(&upload->writer, "NAK\n");

	r = request->wait_for_done ? 0 : upload_ready(upload);
	if (r > 0) {
		pktline_format(&upload->writer, "ready\n");
		pktline_put_delim(&upload->writer);
	} else if (r == 0) {
		pktline_put_flush(&upload->writer);
	}
	return r;
}

static int answer_shallow(struct upload *upload, struct error *err)
{
	const struct upload_request *request = &upload->request;
	int r;

	if (!upload_request_deepens(request) && request->shallows.count == 0 &&
	    upload->roots.count == 0)
		return 0;
	pktline_format(&upload->writer, "shallow-info\n");
	r = upload_shallow_lines(upload, err);
	if (r < 0)
		return r;
	pktline_put_delim(&upload->writer);
	return 0;
}

static int run_fetch(struct upload *upload, bool arguments, struct error *err)
{
	struct upload_request *request = &upload->request;
	int r;

	upload_request_begin(upload);
	request->band_max = PKTLINE_MAX;
	r = arguments ? read_arguments(upload, "fetch", take_fetch, request, err) : 0;
	if (r >= 0)
		r = upload_resolve_wants(upload, false, err);
	if (r < 0)
		return r;
	/* git says nothing to one who wants nothing, except while it only negotiates */
	if (request->wants.count == 0 && !request->wait_for_done)
		return 0;
	if (request->haves.count > 0) {
		r = answer_haves(upload);
		if (r <= 0)
			return r;
	}
	r = answer_shallow(upload, err);
	if (r < 0)
		return r;
	pktline_format(&upload->writer, "packfile\n");
	return upload_send_pack(upload, err);
}

struct object_info {
	struct oid_list oids;
	bool size;
};

static int take_object_info(void *userdata, const char *line, struct error *err)
{
	struct object_info *info = userdata;
	const char *value = str_after_prefix(line, "oid ");
	git_oid oid;

	if (str_equal(line, "size")) {
		info->size = true;
		return 0;
	}
	if (!value || !upload_parse_oid(value, &oid))
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "object-info: unexpected line");
	return upload_add_oid(&info->oids, &oid, err);
}

static void put_object_info(struct upload *upload, const struct object_info *info)
{
	if (info->size)
		pktline_format(&upload->writer, "size");
	for (size_t i = 0; i < info->oids.count; i++) {
		char hex[GIT_OID_HEXSZ + 1];
		git_object_t type;
		size_t size;

		git_oid_tostr(hex, sizeof(hex), &info->oids.oids[i]);
		/* a miss must not look for new packs each time */
		if (!git_odb_exists_ext(upload->odb, &info->oids.oids[i],
					GIT_ODB_LOOKUP_NO_REFRESH) ||
		    git_odb_read_header(&size, &type, upload->odb, &info->oids.oids[i]) <
			    0)
			pktline_format(&upload->writer, "%s ", hex);
		else if (info->size)
			pktline_format(&upload->writer, "%s %zu", hex, size);
		else
			pktline_format(&upload->writer, "%s", hex);
	}
	pktline_put_flush(&upload->writer);
}

static int run_object_info(struct upload *upload, bool arguments, struct error *err)
{
	struct object_info info = { 0 };
	int r = 0;

	if (arguments)
		r = read_arguments(upload, "object-info", take_object_info, &info, err);
	if (r >= 0)
		put_object_info(upload, &info);
	oid_list_done(&info.oids);
	return r;
}

int upload_v2(struct upload *upload, struct error *err)
{
	advertise(upload);
	for (;;) {
		enum upload_command command = UPLOAD_COMMAND_NONE;
		bool arguments = false;
		int r = pktline_send(&upload->writer);

		if (r < 0)
			return r;
		r = upload_command_read(&upload->reader, &command, &arguments, err);
		if (r < 0)
			return r;
		if (command == UPLOAD_COMMAND_NONE)
			return 0;
		if (command == UPLOAD_COMMAND_LS_REFS)
			r = run_ls_refs(upload, arguments, err);
		else if (command == UPLOAD_COMMAND_FETCH)
			r = run_fetch(upload, arguments, err);
		else
			r = run_object_info(upload, arguments, err);
		if (r < 0)
			return r;
	}
}

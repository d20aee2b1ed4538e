/*
 * Versions 0 and 1 of the protocol (gitprotocol-pack(5)): refs unasked, then wants, then haves in batches
 * that are answered one by one.
 */
#include "receiver/upload_internal.h"

#include "base/escape.h"
#include "base/str.h"

/* The state of the negotiation. */
struct haves {
	char last[GIT_OID_HEXSZ + 1]; /* the last common one */
	bool got_common, got_other;   /* in this batch */
	bool sent_ready;
	bool any; /* something is common */
};

static int hung_up(struct error *err)
{
	return error_user(err, -EPROTO, "GIT_HUNG_UP",
			  "the remote end hung up unexpectedly");
}

/* Wants and shallow lines up to the flush. Returns 1, 0 when the client wants nothing, or -errno. */
static int read_wants(struct upload *upload, struct error *err)
{
	for (;;) {
		const char *line;
		size_t size;
		int r = pktline_read_chomped(&upload->reader, &line, &size, err);

		if (r < 0)
			return r;
		if (r == PKTLINE_E_EOF && upload->request.wants.count > 0)
			return hung_up(err);
		if (r != PKTLINE_E_DATA)
			return upload->request.wants.count > 0;
		r = upload_request_line_v0(&upload->request, line, err);
		if (r < 0)
			return r;
	}
}

static void put_ack(struct upload *upload, const char *hex, const char *status)
{
	pktline_format(&upload->writer, "ACK %s%s\n", hex, status);
}

static int answer_have(struct upload *upload, struct haves *haves, const git_oid *oid)
{
	enum upload_multi_ack mode = upload->request.multi_ack;
	bool first = !haves->any;
	char hex[GIT_OID_HEXSZ + 1];
	int r = upload_have(upload, oid);

	if (r < 0)
		return r;
	git_oid_tostr(hex, sizeof(hex), oid);
	if (r > 0) {
		haves->got_common = haves->any = true;
		memcpy(haves->last, hex, sizeof(hex));
		if (mode == UPLOAD_ACK_DETAILED)
			put_ack(upload, hex, " common");
		else if (mode == UPLOAD_ACK_MULTI)
			put_ack(upload, hex, " continue");
		else if (first)
			put_ack(upload, hex, "");
		return 0;
	}

	haves->got_other = true;
	if (mode == UPLOAD_ACK_ONCE)
		return 0;
	r = upload_ready(upload);
	if (r <= 0)
		return r;
	/* the client need not look further down this line, although it is unknown here */
	if (mode == UPLOAD_ACK_DETAILED) {
		haves->sent_ready = true;
		put_ack(upload, hex, " ready");
	} else {
		put_ack(upload, hex, " continue");
	}
	return 0;
}

/* The end of a batch. Returns 1 when the client said it needs no "done", 0 to go on, or -errno. */
static int answer_flush(struct upload *upload, struct haves *haves)
{
	int r;

	if (upload->request.multi_ack == UPLOAD_ACK_DETAILED && haves->got_common &&
	    !haves->got_other) {
		r = upload_ready(upload);
		if (r < 0)
			return r;
		if (r > 0) {
			haves->sent_ready = true;
			put_ack(upload, haves->last, " ready");
		}
	}
	if (!haves->any || upload->request.multi_ack != UPLOAD_ACK_ONCE)
		pktline_format(&upload->writer, "NAK\n");
	if (upload->request.no_done && haves->sent_ready) {
		put_ack(upload, haves->last, "");
		return 1;
	}
	haves->got_common = haves->got_other = false;
	return pktline_send(&upload->writer);
}

static void answer_done(struct upload *upload, const struct haves *haves)
{
	if (!haves->any)
		pktline_format(&upload->writer, "NAK\n");
	else if (upload->request.multi_ack != UPLOAD_ACK_ONCE)
		put_ack(upload, haves->last, "");
}

static int negotiate(struct upload *upload, struct error *err)
{
	struct haves haves = { 0 };

	for (;;) {
		const char *line, *value;
		size_t size;
		git_oid oid;
		int r = pktline_read_chomped(&upload->reader, &line, &size, err);

		if (r < 0)
			return r;
		if (r == PKTLINE_E_EOF)
			return hung_up(err);
		if (r != PKTLINE_E_DATA) {
			r = answer_flush(upload, &haves);
			if (r != 0)
				return r < 0 ? r : 0;
			continue;
		}
		if (str_equal(line, "done")) {
			answer_done(upload, &haves);
			return 0;
		}

		value = str_after_prefix(line, "have ");
		if (!value || !upload_parse_oid(value, &oid)) {
			_cleanup_free_ char *shown =
				escape_text(value ? value : line, 200);

			return error_user(
				err, -EPROTO, "GIT_PROTOCOL",
				value ? "git upload-pack: expected SHA1 object, got '%s'"
				      : "git upload-pack: expected SHA1 list, got '%s'",
				shown ? shown : "?");
		}
		r = answer_have(upload, &haves, &oid);
		if (r < 0)
			return r;
	}
}

int upload_v0(struct upload *upload, struct error *err)
{
	int r;

	upload_advertise_v0(upload);
	r = pktline_send(&upload->writer);
	if (r < 0)
		return r;

	upload_request_begin(upload);
	r = read_wants(upload, err);
	if (r <= 0)
		return r;
	r = upload_resolve_wants(upload, true, err);
	if (r < 0)
		return r;
	r = upload_shallow_lines(upload, err);
	if (r < 0)
		return r;
	if (r > 0) {
		pktline_put_flush(&upload->writer);
		r = pktline_send(&upload->writer);
		if (r < 0)
			return r;
	}
	r = negotiate(upload, err);
	return r < 0 ? r : upload_send_pack(upload, err);
}

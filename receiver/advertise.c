/* The advertisement and the report (gitprotocol-pack(5)), in the order git sends them. */
#include <stdio.h>

#include "base/str.h"
#include "receiver/receive_internal.h"

static void capabilities(const struct receive *receive, struct strbuf *caps)
{
	const struct store_settings *settings = &receive->store.settings;

	strbuf_str(caps,
		   "report-status report-status-v2 delete-refs side-band-64k quiet");
	if (!settings->no_atomic)
		strbuf_str(caps, " atomic");
	if (!settings->no_ofs_delta)
		strbuf_str(caps, " ofs-delta");
	if (settings->push_options || !receive->options->standalone)
		strbuf_str(caps, " push-options");
	strbuf_str(caps, " object-format=sha1 agent=hostkit/" HOSTKIT_VERSION);
}

static void put_ref(struct pktline_writer *out, const git_oid *oid, const char *name,
		    const struct strbuf *caps)
{
	_cleanup_strbuf_ struct strbuf line = { 0 };
	char hex[GIT_OID_HEXSZ + 1];

	strbuf_str(&line, git_oid_tostr(hex, sizeof(hex), oid));
	strbuf_char(&line, ' ');
	strbuf_str(&line, name);
	if (caps) {
		strbuf_char(&line, '\0');
		strbuf_append(&line, caps->data, caps->size);
	}
	strbuf_char(&line, '\n');
	pktline_put(out, line.data, line.size);
}

void receive_advertise(struct receive *receive)
{
	_cleanup_strbuf_ struct strbuf caps = { 0 };
	struct pktline_writer *out = &receive->out;
	const struct oidset_slot *slot;
	const git_oid zero = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	size_t at = 0;

	capabilities(receive, &caps);
	if (receive->options->protocol == 1)
		pktline_format(out, "version 1\n");
	for (size_t i = 0; i < receive->refs.count; i++)
		put_ref(out, &receive->refs.list[i].oid, receive->refs.list[i].name,
			i == 0 ? &caps : NULL);
	if (receive->refs.count == 0)
		put_ref(out, &zero, "capabilities^{}", &caps);
	while ((slot = oidset_next(&receive->store.shallow, &at)))
		pktline_format(out, "shallow %s\n",
			       git_oid_tostr(hex, sizeof(hex), &slot->oid));
	pktline_put_flush(out);
}

int receive_report(struct receive *receive)
{
	_cleanup_pktline_writer_ struct pktline_writer report = { 0 };
	const struct push *push = &receive->push;

	if (push->report_status) {
		pktline_writer_init(&report, -EBADF);
		pktline_format(&report, "unpack %s\n",
			       receive->unpack_failure ? receive->unpack_failure : "ok");
		for (size_t i = 0; i < push->count; i++) {
			const struct push_command *c = &push->commands[i];

			if (c->refused)
				pktline_format(&report, "ng %s %s\n", c->ref, c->refused);
			else
				pktline_format(&report, "ok %s\n", c->ref);
		}
		pktline_put_flush(&report);
		if (pktline_send(&report) < 0)
			return pktline_send(&report);
		if (push->side_band)
			pktline_put_band(&receive->out, PKTLINE_BAND_DATA,
					 report.buffer.data, report.buffer.size);
		else
			pktline_put_raw(&receive->out, report.buffer.data,
					report.buffer.size);
	}
	if (push->side_band)
		pktline_put_flush(&receive->out);
	return pktline_send(&receive->out);
}

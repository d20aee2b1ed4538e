#include "protocol/stream.h"

#include "base/packet.h"
#include "protocol/request.h"

void stream_end_done(struct stream_end *end)
{
	free(end->code);
	free(end->message);
	free(end->suggestion);
	*end = (struct stream_end){ 0 };
}

void stream_put_text(struct strbuf *buf, const char *text, size_t size)
{
	wire_put_u8(buf, STREAM_TEXT);
	strbuf_append(buf, text, size);
}

void stream_put_end(struct strbuf *buf, const struct stream_end *end)
{
	wire_put_u8(buf, STREAM_END);
	wire_put_u32(buf, end->exit_status);
	wire_put_string(buf, end->code);
	wire_put_string(buf, end->message);
	wire_put_string(buf, end->suggestion);
}

static int stream_read_end(struct wire *w, struct stream_end *ret_end)
{
	struct stream_end end = {
		.exit_status = wire_u32(w),
		.code = wire_string(w, REQUEST_NAME_MAX),
		.message = wire_string(w, REQUEST_TEXT_MAX),
		.suggestion = wire_string(w, REQUEST_TEXT_MAX),
	};
	int r = wire_end(w);

	if (r < 0) {
		stream_end_done(&end);
		return r;
	}
	*ret_end = end;
	return STREAM_E_END;
}

int stream_receive(int fd, char **ret_text, size_t *ret_size, struct stream_end *ret_end)
{
	_cleanup_packet_ struct packet packet = { 0 };
	struct wire w;
	char *text;
	int r = packet_receive(fd, &packet);

	if (r == 0)
		return STREAM_E_CLOSED;
	if (r < 0)
		return r;

	w = wire_reader(packet.data, packet.size);
	switch (wire_u8(&w)) {
	case STREAM_TEXT:
		text = strndup((const char *)packet.data + 1, packet.size - 1);
		if (!text)
			return -ENOMEM;
		*ret_size = strlen(text);
		*ret_text = text;
		return STREAM_E_TEXT;
	case STREAM_END:
		return stream_read_end(&w, ret_end);
	default:
		return -EBADMSG;
	}
}

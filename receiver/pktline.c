/*
 * The framing of git's protocol. Keeps true: a packet is handed out whole or not at all, and no byte
 * behind it is lost to whoever reads the raw stream next.
 */
#include "receiver/pktline.h"

#include <stdio.h>
#include <sys/types.h>

#include "base/io.h"

/* Room for the largest packet and the NUL behind it, and some for reads of a pack. */
#define BUFFER_SIZE (128 * 1024)
/* What is gathered before it is written without being asked. */
#define SEND_AT (64 * 1024)

int pktline_reader_init(struct pktline_reader *reader, int fd)
{
	*reader = (struct pktline_reader){ .fd = fd, .buffer = malloc(BUFFER_SIZE + 1) };
	return reader->buffer ? 0 : -ENOMEM;
}

void pktline_reader_done(struct pktline_reader *reader)
{
	free(reader->buffer);
	*reader = (struct pktline_reader){ .fd = -EBADF };
}

/* Get more bytes into the buffer. Returns the count, 0 at the end, or a negative errno value. */
static ssize_t fill(struct pktline_reader *reader)
{
	ssize_t n;

	if (reader->at_eof)
		return 0;
	if (reader->at == reader->end)
		reader->at = reader->end = 0;
	if (reader->end == BUFFER_SIZE) {
		memmove(reader->buffer, reader->buffer + reader->at,
			reader->end - reader->at);
		reader->end -= reader->at;
		reader->at = 0;
	}

	do
		n = read(reader->fd, reader->buffer + reader->end,
			 BUFFER_SIZE - reader->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		reader->at_eof = true;
	reader->end += (size_t)n;
	return n;
}

/* Have at least size unread bytes together. Returns 1, 0 when the stream ends before, or -errno. */
static int need(struct pktline_reader *reader, size_t size)
{
	if (reader->at + size > BUFFER_SIZE) {
		memmove(reader->buffer, reader->buffer + reader->at,
			reader->end - reader->at);
		reader->end -= reader->at;
		reader->at = 0;
	}
	while (reader->end - reader->at < size) {
		ssize_t n = fill(reader);

		if (n <= 0)
			return (int)n;
	}
	return 1;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int parse_length(const uint8_t *p)
{
	int length = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		length = length * 16 + digit;
	}
	return length;
}

static int hung_up(struct error *err)
{
	return error_user(err, -EPROTO, "GIT_PROTOCOL",
			  "the remote end hung up unexpectedly");
}

static int bad_digits(const uint8_t *p, struct error *err)
{
	char shown[5] = { 0 };

	for (size_t i = 0; i < 4; i++)
		shown[i] = (char)(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?');
	return error_user(err, -EPROTO, "GIT_PROTOCOL",
			  "protocol error: bad line length character: %s", shown);
}

int pktline_read(struct pktline_reader *reader, const char **ret_data, size_t *ret_size,
		 struct error *err)
{
	size_t size;
	int r, length;

	r = need(reader, 4);
	if (r < 0)
		return error_internal(err, r, "read");
	if (r == 0)
		return reader->at == reader->end ? PKTLINE_E_EOF : hung_up(err);

	length = parse_length(reader->buffer + reader->at);
	if (length < 0)
		return bad_digits(reader->buffer + reader->at, err);
	if (length < 3) {
		reader->at += 4;
		return length == 0   ? PKTLINE_E_FLUSH
		       : length == 1 ? PKTLINE_E_DELIM
				     : PKTLINE_E_END;
	}
	if (length < 4 || length > PKTLINE_MAX)
		return error_user(err, -EPROTO, "GIT_PROTOCOL",
				  "protocol error: bad line length %d", length);

	size = (size_t)length;
	r = need(reader, size);
	if (r < 0)
		return error_internal(err, r, "read");
	if (r == 0)
		return hung_up(err);

	/* the digits are done with: moving the line over them makes room for the NUL */
	memmove(reader->buffer + reader->at, reader->buffer + reader->at + 4, size - 4);
	reader->buffer[reader->at + size - 4] = '\0';
	*ret_data = (const char *)reader->buffer + reader->at;
	*ret_size = size - 4;
	reader->at += size;
	return PKTLINE_E_DATA;
}

int pktline_read_chomped(struct pktline_reader *reader, const char **ret_data,
			 size_t *ret_size, struct error *err)
{
	const char *data = NULL;
	size_t size = 0;
	int r;

	r = pktline_read(reader, &data, &size, err);
	if (r != PKTLINE_E_DATA)
		return r;
	if (size > 0 && data[size - 1] == '\n') {
		size--;
		reader->buffer[(size_t)((const uint8_t *)data - reader->buffer) + size] =
			'\0';
	}
	*ret_data = data;
	*ret_size = size;
	return r;
}

ssize_t pktline_peek(struct pktline_reader *reader, const uint8_t **ret_data)
{
	if (reader->at == reader->end) {
		ssize_t n = fill(reader);

		if (n <= 0)
			return n;
	}
	*ret_data = reader->buffer + reader->at;
	return (ssize_t)(reader->end - reader->at);
}

void pktline_take(struct pktline_reader *reader, size_t size)
{
	size_t left = reader->end - reader->at;

	reader->at += size < left ? size : left;
}

void pktline_writer_init(struct pktline_writer *writer, int fd)
{
	*writer = (struct pktline_writer){ .fd = fd, .band_max = PKTLINE_MAX };
}

void pktline_writer_done(struct pktline_writer *writer)
{
	strbuf_done(&writer->buffer);
	writer->fd = -EBADF;
}

static void send_when_full(struct pktline_writer *writer)
{
	if (writer->fd >= 0 && writer->buffer.size >= SEND_AT)
		(void)pktline_send(writer); /* the failure sticks */
}

static void put_header(struct pktline_writer *writer, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char header[4] = { digits[length >> 12 & 15], digits[length >> 8 & 15],
			   digits[length >> 4 & 15], digits[length & 15] };

	strbuf_append(&writer->buffer, header, sizeof(header));
}

void pktline_put(struct pktline_writer *writer, const void *data, size_t size)
{
	if (size > PKTLINE_DATA_MAX) {
		if (!writer->failure)
			writer->failure = -EMSGSIZE;
		return;
	}
	put_header(writer, size + 4);
	strbuf_append(&writer->buffer, data, size);
	send_when_full(writer);
}

void pktline_format(struct pktline_writer *writer, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	s = str_vformat(fmt, ap);
	va_end(ap);
	if (s)
		pktline_put(writer, s, strlen(s));
	else if (!writer->failure)
		writer->failure = -ENOMEM;
}

void pktline_put_flush(struct pktline_writer *writer)
{
	put_header(writer, 0);
}

void pktline_put_delim(struct pktline_writer *writer)
{
	put_header(writer, 1);
}

void pktline_put_end(struct pktline_writer *writer)
{
	put_header(writer, 2);
}

void pktline_put_raw(struct pktline_writer *writer, const void *data, size_t size)
{
	strbuf_append(&writer->buffer, data, size);
	send_when_full(writer);
}

void pktline_put_band(struct pktline_writer *writer, enum pktline_band band,
		      const void *data, size_t size)
{
	const char *p = data ? data : "";

	do {
		size_t n = size < writer->band_max - 5 ? size : writer->band_max - 5;

		put_header(writer, n + 5);
		strbuf_char(&writer->buffer, (char)band);
		strbuf_append(&writer->buffer, p, n);
		p += n;
		size -= n;
		send_when_full(writer);
	} while (size > 0);
}

int pktline_send(struct pktline_writer *writer)
{
	int r;

	if (!writer->failure && strbuf_failed(&writer->buffer))
		writer->failure = -ENOMEM;
	if (writer->failure)
		return writer->failure;
	if (writer->fd < 0 || writer->buffer.size == 0)
		return 0;

	r = io_write_all(writer->fd, writer->buffer.data, writer->buffer.size);
	if (r < 0)
		writer->failure = r;
	strbuf_clear(&writer->buffer);
	return r;
}

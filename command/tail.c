#include "command/tail.h"

#include <sys/stat.h>

#include "base/escape.h"

#define PIECE_SIZE (64 * 1024)

/* As pread(), but all of it: less only where the file has become shorter. */
static ssize_t read_at(int fd, char *data, size_t size, int64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int tail_find(int fd, uint64_t lines, int64_t *ret_start, int64_t *ret_end)
{
	_cleanup_free_ char *piece = malloc(PIECE_SIZE);
	struct stat st;
	int64_t at;

	if (!piece)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_end = at = st.st_size;

	while (at > 0 && lines > 0) {
		int64_t from = at > PIECE_SIZE ? at - PIECE_SIZE : 0;
		ssize_t n = read_at(fd, piece, (size_t)(at - from), from);

		if (n < 0)
			return (int)n;
		while (n > 0) {
			const char *newline = memrchr(piece, '\n', (size_t)n);

			if (!newline)
				break;
			n = newline - piece;
			/* the one that ends the file begins no further line */
			if (from + n + 1 < st.st_size && --lines == 0) {
				*ret_start = from + n + 1;
				return 0;
			}
		}
		at = from;
	}
	*ret_start = lines > 0 ? 0 : st.st_size;
	return 0;
}

void tail_text_done(struct tail_text *text)
{
	strbuf_done(&text->pending);
	*text = (struct tail_text){ 0 };
}

/* How much of it does not end within a character (RFC 3629). */
static size_t whole_characters(const char *data, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		uint8_t c = (uint8_t)data[size - back];
		size_t needs = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if ((c & 0xc0) == 0x80)
			continue;
		return needs > back ? size - back : size;
	}
	return size;
}

/* Move the first `size` held back bytes to out. */
static void release(struct tail_text *text, size_t size, struct strbuf *out)
{
	const char *p = strbuf_get(&text->pending);
	size_t left = size;

	if (size == 0)
		return;
	text->open_line = p[size - 1] != '\n';
	while (left > 0) {
		const char *newline = memchr(p, '\n', left);
		size_t n = newline ? (size_t)(newline - p) : left;

		escape_append(out, p, n);
		if (newline)
			strbuf_char(out, '\n');
		n += newline ? 1 : 0;
		p += n;
		left -= n;
	}
	strbuf_consume(&text->pending, size);
}

void tail_text_feed(struct tail_text *text, const char *data, size_t size,
		    struct strbuf *out)
{
	const char *newline;

	strbuf_append(&text->pending, data, size);
	if (strbuf_failed(&text->pending)) {
		out->failed = true;
		return;
	}
	newline = memrchr(strbuf_get(&text->pending), '\n', text->pending.size);
	if (newline)
		release(text, (size_t)(newline - text->pending.data) + 1, out);
	if (text->pending.size > TAIL_LINE_MAX)
		release(text, whole_characters(text->pending.data, text->pending.size),
			out);
}

void tail_text_flush(struct tail_text *text, struct strbuf *out)
{
	release(text, text->pending.size, out);
}

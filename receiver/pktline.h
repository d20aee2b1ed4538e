#pragma once

/*
 * pkt-line framing (gitprotocol-common(5)) over blocking descriptors, with buffers of its own: four
 * hexadecimal digits of length, themselves included, and that many bytes.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

/* The largest packet, its four digits included, and what it can carry. */
#define PKTLINE_MAX 65520
#define PKTLINE_DATA_MAX (PKTLINE_MAX - 4)

/* The bands of side-band-64k (gitprotocol-pack(5)). */
enum pktline_band {
	PKTLINE_BAND_DATA = 1,
	PKTLINE_BAND_PROGRESS = 2,
	PKTLINE_BAND_ERROR = 3,
};

struct pktline_reader {
	int fd; /* borrowed */
	uint8_t *buffer;
	size_t at;   /* next byte not handed out yet */
	size_t end;  /* behind the last byte read */
	bool at_eof; /* the descriptor has ended */
};

/* Read from fd, which stays the caller's. Returns 0 or -ENOMEM. */
int pktline_reader_init(struct pktline_reader *reader, int fd) _must_check_;
void pktline_reader_done(struct pktline_reader *reader);
#define _cleanup_pktline_reader_ _cleanup_(pktline_reader_done)

enum {
	PKTLINE_E_EOF,   /* the peer closed where a packet could have begun */
	PKTLINE_E_DATA,  /* a line, perhaps empty */
	PKTLINE_E_FLUSH, /* 0000 */
	PKTLINE_E_DELIM, /* 0001 */
	PKTLINE_E_END,   /* 0002, response-end */
};

/*
 * Read the next packet. For PKTLINE_E_DATA, *ret_data is a view of *ret_size bytes that is valid until
 * the next call and is followed by a NUL; nothing is chopped off.
 *
 * Returns one of the outcomes above; -EPROTO with git's message for a bad length or an end in
 * mid-packet; or another negative errno value.
 */
int pktline_read(struct pktline_reader *reader, const char **ret_data, size_t *ret_size,
		 struct error *err) _must_check_;

/* As pktline_read() without one "\n" at the end of a line, if there is one. */
int pktline_read_chomped(struct pktline_reader *reader, const char **ret_data,
			 size_t *ret_size, struct error *err) _must_check_;

/*
 * Bytes outside packets (a pack): *ret_data is a view of what is there, at least one byte, of which the
 * caller then takes some with pktline_take(). Waits for bytes only when none are buffered.
 * Returns the count, 0 at the end of the stream, or a negative errno value.
 */
ssize_t pktline_peek(struct pktline_reader *reader, const uint8_t **ret_data)
	_must_check_;
void pktline_take(struct pktline_reader *reader, size_t size);

/* Are there bytes that can be had without touching the descriptor? */
static inline bool pktline_buffered(const struct pktline_reader *reader)
{
	return reader->at < reader->end;
}

/*
 * Writes are gathered and go out when the buffer is full, or with pktline_send(). A failure sticks:
 * put freely, ask pktline_send() now and then.
 */
struct pktline_writer {
	int fd; /* borrowed; negative: keep everything in the buffer */
	struct strbuf buffer;
	size_t band_max; /* bytes of one side-band packet, its five of header included */
	int failure;     /* the first negative errno value */
};

/* fd is borrowed; negative: keep everything in the buffer. */
void pktline_writer_init(struct pktline_writer *writer, int fd);
void pktline_writer_done(struct pktline_writer *writer);
#define _cleanup_pktline_writer_ _cleanup_(pktline_writer_done)

/* One packet of at most PKTLINE_DATA_MAX bytes (more fails the writer with -EMSGSIZE). */
void pktline_put(struct pktline_writer *writer, const void *data, size_t size);
void pktline_format(struct pktline_writer *writer, const char *fmt, ...) _printf_(2, 3);
void pktline_put_flush(struct pktline_writer *writer);
void pktline_put_delim(struct pktline_writer *writer);
void pktline_put_end(struct pktline_writer *writer);

/* Bytes outside packets. */
void pktline_put_raw(struct pktline_writer *writer, const void *data, size_t size);

/* As many side-band packets as it takes; an empty one for size 0, which keeps a connection alive. */
void pktline_put_band(struct pktline_writer *writer, enum pktline_band band,
		      const void *data, size_t size);

/* Write out what was gathered. Returns 0 or the first failure (-EPIPE: the peer has gone). */
int pktline_send(struct pktline_writer *writer);

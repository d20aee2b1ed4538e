#pragma once

/*
 * What a job says: every line goes to the job's log and to all who watch. The log is also the buffer for
 * viewers: each has a place in it and reads on as fast as it can, so a slow one costs no memory and a
 * late one begins at the beginning.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/macro.h"
#include "protocol/stream.h"

struct output;

/* A viewer that takes nothing while this much is waiting for it loses the older part of it. */
#define OUTPUT_LAG_MAX (1024u * 1024)
#define OUTPUT_LAG_KEPT (256u * 1024)
/* More viewers than this are turned away. */
#define OUTPUT_VIEWERS_MAX 64

/*
 * Write to log_fd (borrowed). If that is no readable file, or cannot be written any more (the disk is full),
 * a copy in memory takes its place for the viewers. Returns 0 or a negative errno value.
 */
int output_new(sd_event *event, int log_fd, struct output **ret_output) _must_check_;
struct output *output_free(struct output *output);
static inline void output_freep(struct output **output)
{
	*output = output_free(*output);
}

/* Take viewers' descriptors, one a packet, from fd (owned from now on) until it is closed. */
int output_listen(struct output *output, int fd) _must_check_;

/* Add one viewer; takes fd. */
void output_add_viewer(struct output *output, int fd);

/*
 * One or more lines (a text with newlines), each with its prefix and escaped: what is done now "-----> ",
 * how it ended "=====> ", details, trouble " !     ".
 */
void output_step(struct output *output, const char *fmt, ...) _printf_(2, 3);
void output_result(struct output *output, const char *fmt, ...) _printf_(2, 3);
void output_detail(struct output *output, const char *fmt, ...) _printf_(2, 3);
void output_trouble(struct output *output, const char *fmt, ...) _printf_(2, 3);

/*
 * One line of a build's output: as it is if it is indented or has the prefix of a step or of trouble, else
 * as a detail. Escaped; very long ones become several. Can be a lines_fn.
 */
void output_foreign(void *output, const char *line, size_t size);

/* It is over: the packet is the last one each viewer gets, also those that come later. */
void output_end(struct output *output, const struct stream_end *end);

/*
 * How far the viewers are: whether all have everything, and a number that changes whenever one of them
 * has taken something.
 */
bool output_is_drained(const struct output *output);
uint64_t output_progress(const struct output *output);

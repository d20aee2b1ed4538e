#pragma once

/* Whole reads and writes on blocking descriptors. Interrupted calls are repeated. */

#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* Write all of it. Returns 0 or a negative errno value (-EPIPE needs SIGPIPE ignored). */
int io_write_all(int fd, const void *data, size_t size);

/* Read up to size bytes, less only at the end of the file. Returns the count or a negative errno. */
ssize_t io_read_full(int fd, void *data, size_t size) _must_check_;

/*
 * Append everything up to the end of fd to buf. Returns 0, -EFBIG when there are more than max bytes,
 * or a negative errno value.
 */
int io_read_all(int fd, size_t max, struct strbuf *buf) _must_check_;

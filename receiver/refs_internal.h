#pragma once

#include <stddef.h>

#include "receiver/refs.h"

/* A packed-refs file of a million refs. */
#define PACKED_REFS_MAX (128u << 20)

/* The packed-refs file, NUL-terminated; empty when there is none. */
int refs_read_packed_file(int repo_fd, char **ret_data, size_t *ret_size);

/* Where name stands or would stand. */
size_t refs_lower_bound(const struct refs *refs, const char *name);

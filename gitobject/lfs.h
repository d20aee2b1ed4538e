#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Pointer files are smaller than that many bytes, all lines included (git-lfs: docs/spec.md), so nothing
 * larger needs to be read to find out.
 */
#define LFS_POINTER_BYTES 1024

/*
 * Is this the pointer file that Git LFS keeps in place of the contents of a large file? Told by its first
 * line, "version https://git-lfs.github.com/spec/" and any version, which ends in LF or, after a checkout on
 * Windows that was committed so, in CR LF; git-lfs takes both.
 */
bool lfs_is_pointer(const void *data, size_t size);

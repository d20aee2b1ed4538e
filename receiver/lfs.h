#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is this the pointer file that Git LFS keeps in place of the contents of a large file? */
bool lfs_is_pointer(const void *data, size_t size);

#include "receiver/lfs.h"

#include <string.h>

/* The specification of Git LFS: the first line, and no pointer is larger. */
#define VERSION_LINE "version https://git-lfs.github.com/spec/v1\n"
#define SIZE_MAX_BYTES 1024

bool lfs_is_pointer(const void *data, size_t size)
{
	return size >= strlen(VERSION_LINE) && size <= SIZE_MAX_BYTES &&
	       memcmp(data, VERSION_LINE, strlen(VERSION_LINE)) == 0;
}

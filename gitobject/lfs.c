#include "gitobject/lfs.h"

#include <string.h>

#define BEGINNING "version https://git-lfs.github.com/spec/"

bool lfs_is_pointer(const void *data, size_t size)
{
	const char *p = data, *end;

	if (size >= LFS_POINTER_BYTES || size < strlen(BEGINNING) ||
	    memcmp(p, BEGINNING, strlen(BEGINNING)) != 0)
		return false;
	end = memchr(p, '\n', size);
	if (!end)
		return false;
	p += strlen(BEGINNING);
	if (end > p && end[-1] == '\r')
		end--;
	return end > p && !memchr(p, ' ', (size_t)(end - p));
}

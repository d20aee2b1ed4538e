#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <sys/mman.h>

#include "base/io.h"
#include "receiver/pktline.h"

/* Whatever comes in, a line is inside its limits and ends in a NUL, and reading ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_pktline_reader_ struct pktline_reader reader = { .fd = -EBADF };
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	const char *line = NULL;
	size_t n = 0;
	int r;

	if (fd < 0 || io_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    pktline_reader_init(&reader, fd) < 0)
		return 0;
	do {
		r = pktline_read_chomped(&reader, &line, &n, NULL);
		if (r == PKTLINE_E_DATA)
			assert(n <= PKTLINE_DATA_MAX && line[n] == '\0');
	} while (r > PKTLINE_E_EOF);
	return 0;
}

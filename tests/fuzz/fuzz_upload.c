#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <sys/mman.h>

#include "base/io.h"
#include "receiver/upload_request.h"

static void run_v0(struct pktline_reader *reader)
{
	_cleanup_upload_request_ struct upload_request request = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	const char *line;
	size_t size;

	while (pktline_read_chomped(reader, &line, &size, &err) == PKTLINE_E_DATA)
		if (upload_request_line_v0(&request, line, &err) < 0) {
			assert(error_is_set(&err));
			return;
		}
	assert(request.band_max == 0 || request.band_max >= 1000);
}

static void run_v2(struct pktline_reader *reader)
{
	enum upload_command command = UPLOAD_COMMAND_NONE;
	bool arguments = false;

	do {
		_cleanup_upload_request_ struct upload_request request = { 0 };
		_cleanup_upload_ls_refs_ struct upload_ls_refs ls = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		const char *line;
		size_t size;
		int r;

		r = upload_command_read(reader, &command, &arguments, &err);
		assert(r == 0 || error_is_set(&err));
		if (r < 0)
			return;
		while (arguments && pktline_read_chomped(reader, &line, &size, &err) ==
					    PKTLINE_E_DATA) {
			r = command == UPLOAD_COMMAND_LS_REFS
				    ? upload_ls_refs_line(&ls, line, &err)
				    : upload_request_line_v2(&request, line, &err);
			if (r < 0)
				return;
		}
	} while (command != UPLOAD_COMMAND_NONE);
}

/* What a client sends to git-upload-pack: the first byte is the version. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_pktline_reader_ struct pktline_reader reader = { 0 };
	_cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);

	if (size == 0 || fd < 0 || io_write_all(fd, data + 1, size - 1) < 0 ||
	    lseek(fd, 0, SEEK_SET) != 0 || pktline_reader_init(&reader, fd) < 0)
		return 0;
	if (data[0] == '2')
		run_v2(&reader);
	else
		run_v0(&reader);
	return 0;
}

/*
 * Runs a fuzz target without a fuzzer: over every file of the directories named on the command line, over
 * all beginnings of each (cut input is the commonest bad input) and over copies with one byte changed.
 * Every input is a fresh allocation of exactly its size, so that AddressSanitizer sees the first byte read
 * too far.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/macro.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

/* Beyond this size only every nth beginning and position is tried, so that a run stays short. */
#define DRIVER_STEPS_MAX 1024

static int run_once(const char *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return -ENOMEM;
	if (size > 0)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size); /* always 0 */
	return 0;
}

static int run_variants(struct strbuf *input)
{
	static const uint8_t flips[] = { 0x01, 0x20, 0x80, 0xff };
	size_t step = input->size / DRIVER_STEPS_MAX + 1;
	int r = run_once(strbuf_get(input), input->size);

	for (size_t n = 0; r >= 0 && n < input->size; n += step) {
		char saved = input->data[n];

		r = run_once(input->data, n);
		if (r < 0)
			break;
		input->data[n] = (char)(saved ^ flips[(n / step) % ARRAY_SIZE(flips)]);
		r = run_once(input->data, input->size);
		input->data[n] = saved;
	}
	return r;
}

static int run_file(int dir_fd, const char *name)
{
	_cleanup_strbuf_ struct strbuf input = { 0 };
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = io_read_all(fd, SIZE_MAX, &input);
	return r < 0 ? r : run_variants(&input);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Returns how many files were run, or a negative errno value. */
static int run_directory(const char *path)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return -errno;
	while ((errno = 0, entry = readdir(dir))) {
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = run_file(dirfd(dir), entry->d_name);
		if (r < 0)
			return r;
		count++;
	}
	return errno ? -errno : count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = run_directory(argv[i]);

		if (n < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-n));
			return 1;
		}
		total += n;
	}
	printf("%d inputs\n", total);
	return total > 0 ? 0 : 1; /* an empty corpus tests nothing */
}

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "builder/manifest.h"

static char dir_path[] = "/tmp/hostkit-manifest-XXXXXX";
static int dir_fd;

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	dir_fd = fd_close(dir_fd);
	return fs_remove_tree_at(AT_FDCWD, dir_path);
}

static struct manifest_file files[] = {
	{ (char *)"b/c", { 1 }, false, 11, 100, 1000, 5 },
	{ (char *)"a", { 2 }, true, 12, 0, 1000, 999999999 },
	{ (char *)"fresh", { 3 }, false, 13, 7, 2000, 500000000 },
};
static const struct manifest written = { (char *)"0123", files, 3 };
static const struct timespec later = { 3000, 0 };

static void test_round_trip(void **state)
{
	_cleanup_manifest_ struct manifest got = { 0 };
	const struct manifest_file *f;
	(void)state;

	assert_int_equal(manifest_write(dir_fd, "r1", &written, &later), 0);
	assert_int_equal(manifest_read(dir_fd, "r1", &got), 1);
	assert_string_equal(got.commit, "0123");
	assert_int_equal(got.count, 3);
	f = manifest_find(&got, "b/c");
	assert_non_null(f);
	assert_int_equal(f->oid[0], 1);
	assert_int_equal(f->inode, 11);
	assert_int_equal(f->size, 100);
	assert_false(f->executable);
	f = manifest_find(&got, "a");
	assert_non_null(f);
	assert_true(f->executable);
	assert_int_equal(f->changed_nsec, 999999999);
	assert_null(manifest_find(&got, "b"));
	assert_null(manifest_find(&got, ""));
}

/* A file written in this tick of the clock could be written again without its time changing. */
static void test_racy(void **state)
{
	static const struct {
		struct timespec now;
		bool kept;
	} cases[] = {
		{ { 2000, 500000000 }, false },
		{ { 2000, 500000001 }, true },
		{ { 2001, 0 }, true },
		{ { 1999, 999999999 }, false }, /* the clock went back */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_manifest_ struct manifest got = { 0 };

		assert_int_equal(manifest_write(dir_fd, "r2", &written, &cases[i].now),
				 0);
		assert_int_equal(manifest_read(dir_fd, "r2", &got), 1);
		assert_int_equal(manifest_find(&got, "fresh") != NULL, cases[i].kept);
		assert_non_null(manifest_find(&got, "b/c"));
	}
}

/* Times without nanoseconds: perhaps there are whole seconds only. */
static void test_racy_seconds(void **state)
{
	static struct manifest_file file = {
		(char *)"whole", { 4 }, false, 14, 1, 2000, 0
	};
	static const struct manifest whole = { (char *)"0123", &file, 1 };
	static const struct timespec same = { 2000, 999999999 }, next = { 2001, 0 };
	_cleanup_manifest_ struct manifest got = { 0 };
	(void)state;

	assert_int_equal(manifest_write(dir_fd, "r5", &whole, &same), 0);
	assert_int_equal(manifest_read(dir_fd, "r5", &got), 0);
	assert_int_equal(manifest_write(dir_fd, "r5", &whole, &next), 0);
	assert_int_equal(manifest_read(dir_fd, "r5", &got), 1);
}

static void test_missing_and_malformed(void **state)
{
	_cleanup_manifest_ struct manifest got = { 0 };
	_cleanup_free_ char *data = NULL;
	size_t size;
	(void)state;

	assert_int_equal(manifest_read(dir_fd, "none", &got), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir_fd, ".link.manifest"), 0);
	assert_int_equal(manifest_read(dir_fd, "link", &got), 0);

	assert_int_equal(manifest_write(dir_fd, "r3", &written, &later), 0);
	assert_int_equal(fs_read_at(dir_fd, ".r3.manifest", 4096, &data, &size), 0);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(manifest_parse(data, cut, &got), -EBADMSG);
	assert_int_equal(manifest_parse(data, size, &got), 0);
}

static void test_count_lies(void **state)
{
	/* magic, commit "", 2^32-1 files, nothing behind */
	static const char bytes[] =
		"\x12\0\0\0hostkit-manifest-1\0\0\0\0\xff\xff\xff\xff";
	struct manifest got = { 0 };
	(void)state;

	assert_int_equal(manifest_parse(bytes, sizeof(bytes) - 1, &got), -EBADMSG);
}

static void test_pristine(void **state)
{
	struct manifest_file note = { 0 };
	struct stat st;
	(void)state;

	assert_int_equal(fs_replace_at(dir_fd, "f", 0755, "abc", 3), 0);
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	manifest_note(&note, &st);
	assert_true(manifest_is_pristine(&note, &st));

	st.st_ctim.tv_nsec ^= 1;
	assert_false(manifest_is_pristine(&note, &st));
	st.st_ctim.tv_nsec ^= 1;
	st.st_size++;
	assert_false(manifest_is_pristine(&note, &st));
	st.st_size--;
	st.st_ino++;
	assert_false(manifest_is_pristine(&note, &st));
	st.st_ino--;
	st.st_nlink = 2;
	assert_false(manifest_is_pristine(&note, &st));
	st.st_nlink = 1;
	st.st_mode ^= 0111;
	assert_false(manifest_is_pristine(&note, &st));
	st.st_mode = S_IFIFO | 0755;
	assert_false(manifest_is_pristine(&note, &st));
}

static void test_sweep(void **state)
{
	(void)state;

	assert_int_equal(fs_mkdir_at(dir_fd, "kept", 0755), 1);
	assert_int_equal(manifest_write(dir_fd, "kept", &written, &later), 0);
	assert_int_equal(manifest_write(dir_fd, "gone", &written, &later), 0);
	assert_int_equal(fs_replace_at(dir_fd, "other.manifest", 0644, "x", 1), 0);
	manifest_sweep(dir_fd);
	assert_int_equal(faccessat(dir_fd, ".kept.manifest", F_OK, 0), 0);
	assert_int_equal(faccessat(dir_fd, "other.manifest", F_OK, 0), 0);
	assert_int_equal(faccessat(dir_fd, ".gone.manifest", F_OK, 0), -1);
}

static void test_nothing_to_write(void **state)
{
	static const struct manifest empty = { (char *)"0123", NULL, 0 };
	(void)state;

	assert_int_equal(manifest_write(dir_fd, "r4", &written, &later), 0);
	assert_int_equal(manifest_write(dir_fd, "r4", &empty, &later), 0);
	assert_int_equal(faccessat(dir_fd, ".r4.manifest", F_OK, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_racy),
		cmocka_unit_test(test_racy_seconds),
		cmocka_unit_test(test_missing_and_malformed),
		cmocka_unit_test(test_count_lies),
		cmocka_unit_test(test_pristine),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_nothing_to_write),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

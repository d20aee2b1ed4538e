#include "receiver/packs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <git2.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/unit/unit.h"

enum {
	BLOBS = 20
};

struct fixture {
	char path[64];
	int fd;
	git_oid oids[BLOBS];
	char *names[2]; /* .idx, .pack; below the repository */
	char *files[2];
	size_t sizes[2];
};

static void write_blobs(struct fixture *f, git_repository *repo, git_packbuilder *builder)
{
	for (int i = 0; i < BLOBS; i++) {
		_cleanup_strbuf_ struct strbuf text = { 0 };

		/* alike, so that most become deltas */
		for (int j = 0; j < 100; j++)
			strbuf_format(&text, "line %d %d\n", j, j == i ? i : 0);
		assert_int_equal(git_blob_create_from_buffer(&f->oids[i], repo, text.data,
							     text.size),
				 0);
		assert_int_equal(git_packbuilder_insert(builder, &f->oids[i], "x"), 0);
	}
}

static int setup(void **state)
{
	static struct fixture f;
	git_repository *repo = NULL;
	git_packbuilder *builder = NULL;
	const char *const suffixes[] = { "idx", "pack" };

	f = (struct fixture){ 0 };
	snprintf(f.path, sizeof(f.path), "/tmp/test_packs.XXXXXX");
	if (!mkdtemp(f.path) || git_libgit2_init() < 0 ||
	    git_repository_init(&repo, f.path, 1) < 0 ||
	    git_packbuilder_new(&builder, repo) < 0)
		return -1;
	write_blobs(&f, repo, builder);
	if (git_packbuilder_write(builder, NULL, 0, NULL, NULL) < 0)
		return -1;
	f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < 2; i++) {
		f.names[i] = str_format("objects/pack/pack-%s.%s",
					git_oid_tostr_s(git_packbuilder_hash(builder)),
					suffixes[i]);
		if (fs_read_at(f.fd, f.names[i], 1 << 20, &f.files[i], &f.sizes[i]) < 0)
			return -1;
	}
	git_packbuilder_free(builder);
	git_repository_free(repo);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < 2; i++) {
		free(f->names[i]);
		free(f->files[i]);
	}
	fd_close(f->fd);
	git_libgit2_shutdown();
	return fs_remove_tree_at(parent, strrchr(f->path, '/') + 1);
}

/* Look all objects up; returns how many were found whole. */
static int look_up(struct fixture *f, int *ret_deltas)
{
	_cleanup_packs_ struct packs packs = { 0 };
	int found = 0;

	*ret_deltas = 0;
	assert_int_equal(packs_open(f->fd, &packs), 0);
	for (int i = 0; i < BLOBS; i++) {
		struct pack_entry entry;
		int r = packs_find(&packs, &f->oids[i], &entry);

		assert_true(r >= 0);
		if (r == 0 || !pack_entry_is_whole(&entry))
			continue;
		found++;
		*ret_deltas += entry.delta;
	}
	return found;
}

static void write_file(struct fixture *f, int which, size_t size)
{
	_cleanup_close_ int fd = -EBADF;

	(void)unlinkat(f->fd, f->names[which], 0); /* packs are read-only files */
	fd = openat(f->fd, f->names[which], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, f->files[which], size), 0);
}

static void test_good(void **state)
{
	struct fixture *f = *state;
	_cleanup_packs_ struct packs packs = { 0 };
	struct pack_entry entry;
	git_oid absent;
	int deltas;

	assert_int_equal(look_up(f, &deltas), BLOBS);
	assert_true(deltas > 0);
	memset(&absent, 0x42, sizeof(absent));
	assert_int_equal(packs_open(f->fd, &packs), 0);
	assert_int_equal(packs_find(&packs, &absent, &entry), 0);
}

/* Any byte of either file wrong: what is found is never more than there is, and nothing is read outside. */
static void test_damaged(void **state)
{
	struct fixture *f = *state;

	for (int which = 0; which < 2; which++) {
		for (size_t at = 0; at < f->sizes[which]; at += 3) {
			char saved = f->files[which][at];
			int deltas;

			f->files[which][at] = (char)(saved ^ 0xff);
			write_file(f, which, f->sizes[which]);
			assert_in_range(look_up(f, &deltas), 0, BLOBS);
			f->files[which][at] = saved;
		}
		write_file(f, which, f->sizes[which]);
	}
}

static void test_cut(void **state)
{
	struct fixture *f = *state;

	for (int which = 0; which < 2; which++) {
		for (size_t size = 0; size < f->sizes[which]; size += 7) {
			int deltas;

			write_file(f, which, size);
			assert_in_range(look_up(f, &deltas), 0, BLOBS);
		}
		write_file(f, which, f->sizes[which]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

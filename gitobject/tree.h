#pragma once

/* Reading tree and commit objects from memory, without trusting them. */

#include <stdbool.h>
#include <stdint.h>

#include <git2/oid.h>

/* What an entry is, by its mode. */
#define TREE_MODE_DIRECTORY 0040000u
#define TREE_MODE_FILE 0100644u
#define TREE_MODE_PROGRAM 0100755u
#define TREE_MODE_SYMLINK 0120000u
#define TREE_MODE_GITLINK 0160000u
#define TREE_MODE_TYPE 0170000u

struct tree_reader {
	const uint8_t *at;
	size_t left;
};

struct tree_entry {
	uint32_t mode;
	bool zero_padded; /* the mode was written with a leading zero */
	const char *name; /* NUL-terminated view, not empty */
	size_t name_size;
	git_oid oid;
};

static inline struct tree_reader tree_reader(const void *data, size_t size)
{
	return (struct tree_reader){ .at = data, .left = size };
}

/* The next entry. Returns 1, 0 at the end, or -EBADMSG when this is no tree. */
int tree_next(struct tree_reader *reader, struct tree_entry *ret_entry);

/* The type in a mode, as git has it: everything that is no directory or gitlink is a blob. */
static inline bool tree_mode_is_directory(uint32_t mode)
{
	return (mode & TREE_MODE_TYPE) == TREE_MODE_DIRECTORY;
}
static inline bool tree_mode_is_gitlink(uint32_t mode)
{
	return (mode & TREE_MODE_TYPE) == TREE_MODE_GITLINK;
}

/* Reading the header of a commit: its tree, parents one by one, and when it was committed. */
struct commit_reader {
	const char *at;
	size_t left;
};

/* Returns 0 with *ret_tree, and the reader in front of the parents; or -EBADMSG. */
int commit_begin(struct commit_reader *reader, const void *data, size_t size,
		 git_oid *ret_tree);
/* Returns 1 with the next parent, 0 behind the last one, or -EBADMSG. */
int commit_next_parent(struct commit_reader *reader, git_oid *ret_parent);
/* Seconds of the committer line behind the parents; 0 when there is none that can be read. */
int64_t commit_time(const struct commit_reader *reader);

/* What a tag object points to. Returns 0 with the name and a git_object_t, or -EBADMSG. */
int tag_target(const void *data, size_t size, git_oid *ret_target, int *ret_type);

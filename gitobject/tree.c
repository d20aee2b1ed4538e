#include "gitobject/tree.h"

#include <git2/types.h>

#include "base/str.h"

int tree_next(struct tree_reader *reader, struct tree_entry *ret_entry)
{
	const uint8_t *p = reader->at, *end, *nul;
	uint32_t mode = 0;

	if (reader->left == 0) /* and at may be NULL, to which nothing is added */
		return 0;
	end = p + reader->left;
	/* a digit, a blank, a letter, a NUL and an object name at least */
	if (reader->left < 4 + GIT_OID_RAWSZ)
		return -EBADMSG;

	for (; p < end && *p != ' '; p++) {
		if (*p < '0' || *p > '7' || mode > 077777777u)
			return -EBADMSG;
		mode = mode << 3 | (uint32_t)(*p - '0');
	}
	if (p == reader->at || p == end)
		return -EBADMSG;
	p++;

	nul = memchr(p, '\0', (size_t)(end - p));
	if (!nul || nul == p || end - nul <= GIT_OID_RAWSZ)
		return -EBADMSG;

	*ret_entry = (struct tree_entry){
		.mode = mode,
		.zero_padded = *reader->at == '0',
		.name = (const char *)p,
		.name_size = (size_t)(nul - p),
	};
	memcpy(ret_entry->oid.id, nul + 1, GIT_OID_RAWSZ);
	reader->at = nul + 1 + GIT_OID_RAWSZ;
	reader->left = (size_t)(end - reader->at);
	return 1;
}

/* Take "KEYWORD oid\n". Returns 1, 0 when another line stands there, or -EBADMSG. */
static int take_oid_line(const char **at, size_t *left, const char *keyword,
			 git_oid *ret_oid)
{
	size_t n = strlen(keyword);

	if (*left < n || memcmp(*at, keyword, n) != 0)
		return 0;
	if (*left < n + GIT_OID_HEXSZ + 1 || (*at)[n + GIT_OID_HEXSZ] != '\n' ||
	    git_oid_fromstrn(ret_oid, *at + n, GIT_OID_HEXSZ) < 0)
		return -EBADMSG;
	*at += n + GIT_OID_HEXSZ + 1;
	*left -= n + GIT_OID_HEXSZ + 1;
	return 1;
}

int commit_begin(struct commit_reader *reader, const void *data, size_t size,
		 git_oid *ret_tree)
{
	*reader = (struct commit_reader){ .at = data, .left = size };
	return take_oid_line(&reader->at, &reader->left, "tree ", ret_tree) == 1
		       ? 0
		       : -EBADMSG;
}

int commit_next_parent(struct commit_reader *reader, git_oid *ret_parent)
{
	return take_oid_line(&reader->at, &reader->left, "parent ", ret_parent);
}

int64_t commit_time(const struct commit_reader *reader)
{
	const char *p = reader->at, *end = p + reader->left, *eol = NULL, *mark;
	int64_t seconds = 0;

	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol || eol == p)
			return 0;
		if (eol - p > 10 && memcmp(p, "committer ", 10) == 0)
			break;
	}
	if (p >= end)
		return 0;
	mark = memrchr(p, '>', (size_t)(eol - p));
	if (!mark)
		return 0;
	for (p = mark + 1; p < eol && *p == ' '; p++)
		;
	for (; p < eol && *p >= '0' && *p <= '9' && seconds < INT64_MAX / 16; p++)
		seconds = seconds * 10 + (*p - '0');
	return seconds;
}

int tag_target(const void *data, size_t size, git_oid *ret_target, int *ret_type)
{
	static const struct {
		const char *name;
		int type;
	} types[] = {
		{ "type commit\n", GIT_OBJECT_COMMIT },
		{ "type tree\n", GIT_OBJECT_TREE },
		{ "type blob\n", GIT_OBJECT_BLOB },
		{ "type tag\n", GIT_OBJECT_TAG },
	};
	const char *at = data;
	git_oid oid;

	if (take_oid_line(&at, &size, "object ", &oid) != 1)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t n = strlen(types[i].name);

		if (size >= n && memcmp(at, types[i].name, n) == 0) {
			*ret_target = oid;
			*ret_type = types[i].type;
			return 0;
		}
	}
	return -EBADMSG;
}

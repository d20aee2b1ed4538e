/*
 * The tree as the pusher sent it: nothing about it is believed. Everything here is about bytes in
 * memory; no file is touched.
 */

#include "builder/treecheck.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* NTFS takes "git~1" for ".git", drops dots and blanks at the end, and reads ':' as a stream's name. */
static bool name_is_git_on_ntfs(const char *name)
{
	const char *rest;

	if (strncasecmp(name, ".git", 4) == 0)
		rest = name + 4;
	else if (strncasecmp(name, "git~1", 5) == 0)
		rest = name + 5;
	else
		return false;
	rest += strspn(rest, " .");
	return *rest == '\0' || *rest == ':' || *rest == '\\';
}

/* The code points that HFS+ leaves out when it compares names; all are three bytes of UTF-8. */
static bool is_ignored_on_hfs(const char *s)
{
	const uint8_t *u = (const uint8_t *)s;
	unsigned int point;

	if (strnlen(s, 3) < 3 || (u[0] & 0xf0) != 0xe0)
		return false;
	point = (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
	return (point >= 0x200c && point <= 0x200f) ||
	       (point >= 0x202a && point <= 0x202e) ||
	       (point >= 0x206a && point <= 0x206f) || point == 0xfeff;
}

static bool name_is_git_on_hfs(const char *name)
{
	static const char dot_git[] = ".git";
	size_t matched = 0;

	while (*name) {
		if (is_ignored_on_hfs(name)) {
			name += 3;
			continue;
		}
		if (matched == 4 || strncasecmp(name, &dot_git[matched], 1) != 0)
			return false;
		matched++;
		name++;
	}
	return matched == 4;
}

static const char *name_fault(const char *name, size_t size)
{
	if (size == 0)
		return "an entry without a name";
	if (size > NAME_MAX)
		return "a name longer than 255 bytes";
	if (str_equal(name, ".") || str_equal(name, ".."))
		return "the name \".\" or \"..\"";
	if (memchr(name, '/', size))
		return "a name with a slash";
	if (name_is_git_on_ntfs(name) || name_is_git_on_hfs(name))
		return "a name that stands for \".git\"";
	return NULL;
}

/* Octal digits up to a blank. Returns what is behind the blank, or NULL. */
static const char *parse_mode(const char *p, const char *end, unsigned int *ret_mode)
{
	unsigned int mode = 0;
	const char *start = p;

	for (; p < end && *p >= '0' && *p <= '7'; p++) {
		if (p - start >= 7)
			return NULL;
		mode = mode << 3 | (unsigned int)(*p - '0');
	}
	if (p == start || p == end || *p != ' ')
		return NULL;
	*ret_mode = mode;
	return p + 1;
}

static bool kind_of_mode(unsigned int mode, enum tree_kind *ret_kind)
{
	switch (mode) {
	case 0100644:
	case 0100664: /* written by git before 2005-05; some histories begin then */
		*ret_kind = TREE_KIND_FILE;
		return true;
	case 0100755:
		*ret_kind = TREE_KIND_EXECUTABLE;
		return true;
	case 0120000:
		*ret_kind = TREE_KIND_LINK;
		return true;
	case 040000:
		*ret_kind = TREE_KIND_DIRECTORY;
		return true;
	case 0160000:
		*ret_kind = TREE_KIND_SUBMODULE;
		return true;
	default:
		return false;
	}
}

/* Read the entry at *p and move on. Returns 0 or -EBADMSG with *fault. */
static int parse_entry(const char **p, const char *end, struct tree_entry *ret_entry,
		       struct tree_fault *fault)
{
	unsigned int mode;
	const char *name, *nul;

	fault->name = "";
	fault->why = "an entry that is cut short or malformed";
	name = parse_mode(*p, end, &mode);
	if (!name)
		return -EBADMSG;
	nul = memchr(name, '\0', (size_t)(end - name));
	if (!nul || end - nul - 1 < TREE_OID_SIZE)
		return -EBADMSG;

	*ret_entry = (struct tree_entry){ .name = name,
					  .name_size = (size_t)(nul - name),
					  .oid = (const uint8_t *)nul + 1 };
	fault->name = name;
	fault->why = name_fault(name, ret_entry->name_size);
	if (fault->why)
		return -EBADMSG;
	if (!kind_of_mode(mode, &ret_entry->kind)) {
		fault->why = "a file mode that git does not know";
		return -EBADMSG;
	}
	*p = nul + 1 + TREE_OID_SIZE;
	return 0;
}

/* git's order: directories compare as if a slash stood behind their name. */
static int compare_entries(const struct tree_entry *a, const struct tree_entry *b)
{
	size_t shared = a->name_size < b->name_size ? a->name_size : b->name_size;
	int order = memcmp(a->name, b->name, shared);
	uint8_t next_a, next_b;

	if (order != 0)
		return order;
	next_a = (uint8_t)a->name[shared];
	next_b = (uint8_t)b->name[shared];
	if (next_a == '\0' && a->kind == TREE_KIND_DIRECTORY)
		next_a = '/';
	if (next_b == '\0' && b->kind == TREE_KIND_DIRECTORY)
		next_b = '/';
	return (int)next_a - (int)next_b;
}

/*
 * Is the last of the entries a directory whose name an earlier one has as well? In a sorted tree only
 * names that begin with it can stand between the two, so each entry is looked at by at most 255 others.
 */
static bool last_is_duplicate(const struct tree_entry *entries, size_t count)
{
	const struct tree_entry *last = &entries[count - 1];

	if (last->kind != TREE_KIND_DIRECTORY)
		return false;
	for (size_t i = count - 1; i > 0; i--) {
		const struct tree_entry *other = &entries[i - 1];

		if (other->name_size < last->name_size ||
		    memcmp(other->name, last->name, last->name_size) != 0)
			return false;
		if (other->name_size == last->name_size)
			return true;
	}
	return false;
}

static const char *order_fault(const struct tree_entry *entries, size_t count)
{
	int order;

	if (count < 2)
		return NULL;
	if (last_is_duplicate(entries, count))
		return "the same name twice";
	order = compare_entries(&entries[count - 2], &entries[count - 1]);
	if (order == 0)
		return "the same name twice";
	return order > 0 ? "entries out of order" : NULL;
}

int tree_check(const void *data, size_t size, struct tree_entry **ret_entries,
	       size_t *ret_count, struct tree_fault *ret_fault)
{
	_cleanup_free_ struct tree_entry *entries = NULL;
	const char *p = data, *end = p + size;
	size_t count = 0, allocated = 0;
	int r;

	while (p < end) {
		if (count == allocated) {
			struct tree_entry *more;

			allocated = allocated ? allocated * 2 : 32;
			more = reallocarray(entries, allocated, sizeof(*entries));
			if (!more)
				return -ENOMEM;
			entries = more;
		}
		r = parse_entry(&p, end, &entries[count], ret_fault);
		if (r < 0)
			return r;
		count++;
		ret_fault->why = order_fault(entries, count);
		if (ret_fault->why)
			return -EBADMSG;
	}
	*ret_entries = TAKE_PTR(entries);
	*ret_count = count;
	return 0;
}

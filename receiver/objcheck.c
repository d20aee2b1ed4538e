/*
 * The rules are those of git-fsck(1), "fsck messages": everything it calls an error or a warning is fatal
 * here, what it calls info is a warning.
 */
#include "receiver/objcheck.h"

#include <stdio.h>

#include "base/str.h"
#include "gitobject/dotname.h"
#include "gitobject/tree.h"
#include "gitobject/tree_order.h"
#include "receiver/gitmodules.h"

void objcheck_done(struct objcheck *check)
{
	oidset_done(&check->gitmodules);
}

static void report(struct objcheck *check, bool is_fatal, const git_oid *oid,
		   const char *id, const char *message)
{
	if (check->reported > OBJCHECK_REPORTS_MAX)
		return;
	if (check->reported++ == OBJCHECK_REPORTS_MAX) {
		id = "tooMany";
		message = "it and others have more flaws, which are not shown";
	}
	check->report(check->userdata, is_fatal, oid, id, message);
}

static bool fatal(struct objcheck *check, const git_oid *oid, const char *id,
		  const char *message)
{
	report(check, true, oid, id, message);
	return false;
}

static void warn(struct objcheck *check, const git_oid *oid, const char *id,
		 const char *message)
{
	report(check, false, oid, id, message);
}

enum tree_flaw {
	TREE_FLAW_NULL_SHA1,
	TREE_FLAW_FULL_PATHNAME,
	TREE_FLAW_DOT,
	TREE_FLAW_DOTDOT,
	TREE_FLAW_DOTGIT,
	TREE_FLAW_PADDED_MODE,
	TREE_FLAW_DUPLICATE,
	TREE_FLAW_UNSORTED,
	_TREE_FLAW_N,
};

static const struct {
	const char *id;
	const char *message;
} tree_flaws[_TREE_FLAW_N] = {
	[TREE_FLAW_NULL_SHA1] = { "nullSha1", "contains entries pointing to null sha1" },
	[TREE_FLAW_FULL_PATHNAME] = { "fullPathname", "contains full pathnames" },
	[TREE_FLAW_DOT] = { "hasDot", "contains '.'" },
	[TREE_FLAW_DOTDOT] = { "hasDotdot", "contains '..'" },
	[TREE_FLAW_DOTGIT] = { "hasDotgit", "contains '.git'" },
	[TREE_FLAW_PADDED_MODE] = { "zeroPaddedFilemode",
				    "contains zero-padded file modes" },
	[TREE_FLAW_DUPLICATE] = { "duplicateEntries", "contains duplicate file entries" },
	[TREE_FLAW_UNSORTED] = { "treeNotSorted", "not properly sorted" },
};

static bool mode_is_known(uint32_t mode)
{
	return mode == TREE_MODE_DIRECTORY || mode == TREE_MODE_FILE ||
	       mode == TREE_MODE_PROGRAM || mode == TREE_MODE_SYMLINK ||
	       mode == TREE_MODE_GITLINK;
}

static unsigned name_flaws(const struct tree_entry *entry)
{
	unsigned flaws = 0;

	if (git_oid_is_zero(&entry->oid))
		flaws |= 1u << TREE_FLAW_NULL_SHA1;
	if (memchr(entry->name, '/', entry->name_size))
		flaws |= 1u << TREE_FLAW_FULL_PATHNAME;
	if (str_equal(entry->name, "."))
		flaws |= 1u << TREE_FLAW_DOT;
	if (str_equal(entry->name, ".."))
		flaws |= 1u << TREE_FLAW_DOTDOT;
	if (dotname_is_git(entry->name))
		flaws |= 1u << TREE_FLAW_DOTGIT;
	if (entry->zero_padded)
		flaws |= 1u << TREE_FLAW_PADDED_MODE;
	return flaws;
}

/* The names that git reads things from: they must be no links. Returns false if that is fatal. */
static bool check_special_name(struct objcheck *check, const git_oid *oid,
			       const struct tree_entry *entry)
{
	bool is_link = entry->mode == TREE_MODE_SYMLINK;

	/* every special name has "git", "mail" or a short form of them; nearly no other name has */
	if (entry->name[0] != '.' && !strchr(entry->name, '~') &&
	    !(entry->name[0] & 0x80) && !strchr(entry->name, '\\'))
		return true;
	if (dotname_is_gitmodules(entry->name)) {
		if (is_link)
			return fatal(check, oid, "gitmodulesSymlink",
				     ".gitmodules is a symbolic link");
		if (!tree_mode_is_directory(entry->mode) &&
		    !oidset_put(&check->gitmodules, &entry->oid, NULL))
			check->no_memory = true;
	}
	if (!is_link)
		return true;
	if (dotname_is_gitattributes(entry->name))
		warn(check, oid, "gitattributesSymlink", ".gitattributes is a symlink");
	if (dotname_is_gitignore(entry->name))
		warn(check, oid, "gitignoreSymlink", ".gitignore is a symlink");
	if (dotname_is_mailmap(entry->name))
		warn(check, oid, "mailmapSymlink", ".mailmap is a symlink");
	return true;
}

static bool report_tree(struct objcheck *check, const git_oid *oid, unsigned flaws,
			bool bad_modes)
{
	bool ok = true;

	for (size_t i = 0; i < _TREE_FLAW_N; i++) {
		if (i == TREE_FLAW_DUPLICATE && bad_modes) {
			report(check, check->strict_modes, oid, "badFilemode",
			       "contains bad file modes");
			ok = ok && !check->strict_modes;
		}
		if (flaws & (1u << i))
			ok = fatal(check, oid, tree_flaws[i].id, tree_flaws[i].message);
	}
	return ok;
}

static bool check_tree(struct objcheck *check, const git_oid *oid, const void *data,
		       size_t size)
{
	struct tree_reader reader = tree_reader(data, size);
	struct tree_order order = { 0 };
	struct tree_entry entry = { 0 };
	unsigned flaws = 0;
	bool bad_modes = false, ok = true;
	int placed, r;

	while ((r = tree_next(&reader, &entry)) > 0) {
		flaws |= name_flaws(&entry);
		bad_modes = bad_modes || !mode_is_known(entry.mode);
		ok = check_special_name(check, oid, &entry) && ok;
		placed = tree_order_add(&order, &entry);
		if (placed < 0)
			check->no_memory = true;
		else
			flaws |=
				(placed & TREE_ORDER_DUPLICATE ? 1u << TREE_FLAW_DUPLICATE
							       : 0) |
				(placed & TREE_ORDER_UNSORTED ? 1u << TREE_FLAW_UNSORTED
							      : 0);
	}
	tree_order_done(&order);
	if (r < 0)
		return fatal(check, oid, "badTree", "cannot be parsed as a tree");
	return report_tree(check, oid, flaws, bad_modes) && ok;
}

/* A header that is being checked line by line. */
struct header {
	struct objcheck *check;
	const git_oid *oid;
	const char *at;
	const char *
		end; /* of the object; a newline stands before it, so no line runs over */
};

static bool header_keyword(struct header *h, const char *keyword)
{
	size_t n = strlen(keyword);

	if ((size_t)(h->end - h->at) < n || memcmp(h->at, keyword, n) != 0)
		return false;
	h->at += n;
	return true;
}

/* An object name and the end of the line. */
static bool header_oid(struct header *h)
{
	git_oid oid;

	if (h->end - h->at <= GIT_OID_HEXSZ || h->at[GIT_OID_HEXSZ] != '\n' ||
	    git_oid_fromstrn(&oid, h->at, GIT_OID_HEXSZ) < 0)
		return false;
	h->at += GIT_OID_HEXSZ + 1;
	return true;
}

/* The header must end in a newline, before a blank line or the end, and hold no NUL. */
static bool check_header_end(struct objcheck *check, const git_oid *oid, const char *data,
			     size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\0') {
			_cleanup_free_ char *message =
				str_format("unterminated header: NUL at offset %zu", i);

			return fatal(check, oid, "nulInHeader",
				     message ? message : "unterminated header");
		}
		if (data[i] == '\n' && i + 1 < size && data[i + 1] == '\n')
			return true;
	}
	if (size > 0 && data[size - 1] == '\n')
		return true;
	return fatal(check, oid, "unterminatedHeader", "unterminated header");
}

static const char *skip_to(const char *p, const char *stop)
{
	while (!strchr(stop, *p))
		p++;
	return p;
}

/* "NAME <EMAIL> SECONDS ZONE\n"; the line ends, because the header does. Returns what is wrong, or NULL. */
static const char *ident_flaw(const char *p, const char **ret_id)
{
	const char *digits;
	uint64_t seconds = 0;
	bool overflow = false;

	*ret_id = "missingNameBeforeEmail";
	if (*p == '<')
		return "missing space before email";
	const char *begin = p;

	p = skip_to(p, "<>\n");
	*ret_id = "badName";
	if (*p == '>')
		return "bad name";
	*ret_id = "missingEmail";
	if (*p != '<')
		return "missing email";
	*ret_id = "missingSpaceBeforeEmail";
	if (p == begin || p[-1] != ' ')
		return "missing space before email";
	p = skip_to(p + 1, "<>\n");
	*ret_id = "badEmail";
	if (*p != '>')
		return "bad email";
	p++;
	*ret_id = "missingSpaceBeforeDate";
	if (*p != ' ')
		return "missing space before date";
	p++;
	*ret_id = "zeroPaddedDate";
	if (*p == '0' && p[1] != ' ')
		return "zero-padded date";
	for (digits = p; *p >= '0' && *p <= '9'; p++)
		overflow = overflow || __builtin_mul_overflow(seconds, 10, &seconds) ||
			   __builtin_add_overflow(seconds, *p - '0', &seconds);
	*ret_id = "badDateOverflow";
	if (overflow || seconds > INT64_MAX)
		return "date causes integer overflow";
	*ret_id = "badDate";
	if (p == digits || *p != ' ')
		return "bad date";
	p++;
	*ret_id = "badTimezone";
	if (*p != '+' && *p != '-')
		return "bad time zone";
	for (int i = 1; i <= 4; i++)
		if (p[i] < '0' || p[i] > '9')
			return "bad time zone";
	return p[5] == '\n' ? NULL : "bad time zone";
}

static bool check_ident(struct header *h)
{
	_cleanup_free_ char *message = NULL;
	const char *id = NULL, *flaw = ident_flaw(h->at, &id);

	h->at = skip_to(h->at, "\n") + 1;
	if (!flaw)
		return true;
	message = str_format("invalid author/committer line - %s", flaw);
	return fatal(h->check, h->oid, id, message ? message : flaw);
}

static bool check_commit(struct objcheck *check, const git_oid *oid, const char *data,
			 size_t size)
{
	struct header h = { .check = check, .oid = oid, .at = data, .end = data + size };
	int authors = 0;

	if (!check_header_end(check, oid, data, size))
		return false;
	if (!header_keyword(&h, "tree "))
		return fatal(check, oid, "missingTree",
			     "invalid format - expected 'tree' line");
	if (!header_oid(&h))
		return fatal(check, oid, "badTreeSha1",
			     "invalid 'tree' line format - bad sha1");
	while (header_keyword(&h, "parent "))
		if (!header_oid(&h))
			return fatal(check, oid, "badParentSha1",
				     "invalid 'parent' line format - bad sha1");
	for (; header_keyword(&h, "author "); authors++)
		if (!check_ident(&h))
			return false;
	if (authors == 0)
		return fatal(check, oid, "missingAuthor",
			     "invalid format - expected 'author' line");
	if (authors > 1)
		return fatal(check, oid, "multipleAuthors",
			     "invalid format - multiple 'author' lines");
	if (!header_keyword(&h, "committer "))
		return fatal(check, oid, "missingCommitter",
			     "invalid format - expected 'committer' line");
	if (!check_ident(&h))
		return false;
	if (memchr(data, '\0', size))
		return fatal(check, oid, "nulInCommit",
			     "NUL byte in the commit object body");
	return true;
}

static bool type_is_known(const char *line, size_t size)
{
	static const char *const types[] = { "commit", "tree", "blob", "tag" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i]) == size && memcmp(types[i], line, size) == 0)
			return true;
	return false;
}

static bool check_tag(struct objcheck *check, const git_oid *oid, const char *data,
		      size_t size)
{
	struct header h = { .check = check, .oid = oid, .at = data, .end = data + size };
	const char *line;

	if (!check_header_end(check, oid, data, size))
		return false;
	if (!header_keyword(&h, "object "))
		return fatal(check, oid, "missingObject",
			     "invalid format - expected 'object' line");
	if (!header_oid(&h))
		return fatal(check, oid, "badObjectSha1",
			     "invalid 'object' line format - bad sha1");
	if (!header_keyword(&h, "type "))
		return fatal(check, oid, "missingTypeEntry",
			     "invalid format - expected 'type' line");
	line = h.at;
	h.at = skip_to(h.at, "\n") + 1;
	if (!type_is_known(line, (size_t)(h.at - line) - 1))
		return fatal(check, oid, "badType", "invalid 'type' value");
	if (!header_keyword(&h, "tag "))
		return fatal(check, oid, "missingTagEntry",
			     "invalid format - expected 'tag' line");
	h.at = skip_to(h.at, "\n") + 1;
	if (!header_keyword(&h, "tagger ")) {
		warn(check, oid, "missingTaggerEntry",
		     "invalid format - expected 'tagger' line");
		return true;
	}
	return check_ident(&h);
}

bool objcheck_object(struct objcheck *check, const git_oid *oid, git_object_t type,
		     const void *data, size_t size)
{
	if (type == GIT_OBJECT_TREE)
		return check_tree(check, oid, data, size);
	if (type == GIT_OBJECT_COMMIT)
		return check_commit(check, oid, data, size);
	if (type == GIT_OBJECT_TAG)
		return check_tag(check, oid, data, size);
	return true;
}

static void gitmodules_flaw(void *userdata, const char *id, const char *message)
{
	struct header *h = userdata;

	(void)fatal(h->check, h->oid, id, message); /* counted by the caller */
}

bool objcheck_gitmodules(struct objcheck *check, const git_oid *oid, git_object_t type,
			 const void *data, size_t size)
{
	struct header h = { .check = check, .oid = oid };
	int flaws;

	if (type != GIT_OBJECT_BLOB)
		return fatal(check, oid, "gitmodulesBlob",
			     "non-blob found at .gitmodules");
	flaws = gitmodules_check(data, size, gitmodules_flaw, &h);
	if (flaws < 0)
		warn(check, oid, "gitmodulesParse", "could not parse gitmodules blob");
	return flaws <= 0;
}

uint8_t objcheck_kind(git_object_t type)
{
	return type == GIT_OBJECT_COMMIT ? OBJCHECK_COMMIT
	       : type == GIT_OBJECT_TREE ? OBJCHECK_TREE
	       : type == GIT_OBJECT_BLOB ? OBJCHECK_BLOB
	       : type == GIT_OBJECT_TAG  ? OBJCHECK_TAG
					 : 0;
}

static int add_link(struct oidset *links, const git_oid *oid, uint8_t kind)
{
	uint8_t *value = oidset_put(links, oid, NULL);

	if (!value)
		return -ENOMEM;
	*value |= kind;
	return 0;
}

static int tree_links(const void *data, size_t size, struct oidset *links)
{
	struct tree_reader reader = tree_reader(data, size);
	struct tree_entry entry = { 0 };
	int r;

	while ((r = tree_next(&reader, &entry)) > 0) {
		if (tree_mode_is_gitlink(entry.mode))
			continue;
		r = add_link(links, &entry.oid,
			     tree_mode_is_directory(entry.mode) ? OBJCHECK_TREE
								: OBJCHECK_BLOB);
		if (r < 0)
			return r;
	}
	return r;
}

static int commit_links(const void *data, size_t size, bool parents, struct oidset *links)
{
	struct commit_reader reader = { 0 };
	git_oid oid;
	int r;

	r = commit_begin(&reader, data, size, &oid);
	if (r < 0)
		return r;
	r = add_link(links, &oid, OBJCHECK_TREE);
	while (r >= 0 && (r = commit_next_parent(&reader, &oid)) > 0)
		if (parents)
			r = add_link(links, &oid, OBJCHECK_COMMIT);
	return r;
}

int objcheck_links(git_object_t type, const void *data, size_t size, bool parents,
		   struct oidset *links)
{
	int target_type = 0, r;
	git_oid target;

	if (type == GIT_OBJECT_TREE)
		return tree_links(data, size, links);
	if (type == GIT_OBJECT_COMMIT)
		return commit_links(data, size, parents, links);
	if (type != GIT_OBJECT_TAG)
		return 0;
	r = tag_target(data, size, &target, &target_type);
	if (r < 0)
		return r;
	return add_link(links, &target, objcheck_kind((git_object_t)target_type));
}

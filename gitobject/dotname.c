#include "gitobject/dotname.h"

#include <stdint.h>
#include <strings.h>

#include "base/str.h"

/* The code points that HFS+ leaves out when it compares names (Apple TN1150). */
static bool hfs_ignores(uint32_t c)
{
	return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

/* The next code point of *p, 0 at the end, UINT32_MAX for what is no UTF-8. */
static uint32_t next_code_point(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	int more;
	uint32_t c;

	if (s[0] == '\0')
		return 0;
	if (s[0] < 0x80) {
		(*p)++;
		return s[0];
	}
	if (s[0] >= 0xc2 && s[0] < 0xe0)
		more = 1;
	else if (s[0] >= 0xe0 && s[0] < 0xf0)
		more = 2;
	else if (s[0] >= 0xf0 && s[0] < 0xf5)
		more = 3;
	else
		return UINT32_MAX;

	c = s[0] & (0x3fu >> more);
	for (int i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (s[i] & 0x3f);
	}
	*p += more + 1;
	return c;
}

static uint32_t next_hfs(const char **p)
{
	uint32_t c;

	do
		c = next_code_point(p);
	while (hfs_ignores(c));
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* Is name, as HFS+ sees it, the dot and then `rest`? */
static bool is_hfs(const char *name, const char *rest)
{
	if (next_hfs(&name) != '.')
		return false;
	for (; *rest; rest++)
		if (next_hfs(&name) != (uint32_t)*rest)
			return false;
	return next_hfs(&name) == 0;
}

/* Is what follows nothing that NTFS would keep, up to the end, a stream, or a separator? */
static bool ntfs_ends(const char *p)
{
	for (; *p == ' ' || *p == '.'; p++)
		;
	return *p == '\0' || *p == ':' || *p == '\\';
}

static bool ntfs_is_git(const char *name)
{
	return (strncasecmp(name, ".git", 4) == 0 && ntfs_ends(name + 4)) ||
	       (strncasecmp(name, "git~1", 5) == 0 && ntfs_ends(name + 5));
}

/* "gi7eba~1": up to six of the letters `hashed`, a tilde, digits, eight in all. */
static bool ntfs_is_hashed_short(const char *name, const char *hashed)
{
	bool tilde = false;
	int i;

	for (i = 0; i < 8; i++) {
		char c = name[i];

		if (c == '\0')
			return false;
		if (tilde) {
			if (c < '0' || c > '9')
				return false;
		} else if (c == '~') {
			i++;
			if (name[i] < '1' || name[i] > '9')
				return false;
			tilde = true;
		} else if (i >= 6 || (c & 0x80) || (c | 0x20) != hashed[i]) {
			return false;
		}
	}
	return tilde && ntfs_ends(name + i);
}

/* rest is the name behind the dot, at least six letters; hashed the short form Windows makes of it. */
static bool ntfs_is(const char *name, const char *rest, const char *hashed)
{
	size_t n = strlen(rest);

	if (name[0] == '.' && strncasecmp(name + 1, rest, n) == 0 &&
	    ntfs_ends(name + 1 + n))
		return true;
	/* the first four files of a directory with that beginning */
	if (strncasecmp(name, rest, 6) == 0 && name[6] == '~' && name[7] >= '1' &&
	    name[7] <= '4')
		return ntfs_ends(name + 8);
	return ntfs_is_hashed_short(name, hashed);
}

bool dotname_is_git(const char *name)
{
	if (is_hfs(name, "git"))
		return true;
	for (; name; name = strchr(name, '\\') ? strchr(name, '\\') + 1 : NULL)
		if (ntfs_is_git(name))
			return true;
	return false;
}

static bool is_dotname(const char *name, const char *rest, const char *hashed)
{
	if (is_hfs(name, rest))
		return true;
	for (; name; name = strchr(name, '\\') ? strchr(name, '\\') + 1 : NULL)
		if (ntfs_is(name, rest, hashed))
			return true;
	return false;
}

bool dotname_is_gitmodules(const char *name)
{
	return is_dotname(name, "gitmodules", "gi7eba");
}

bool dotname_is_gitattributes(const char *name)
{
	return is_dotname(name, "gitattributes", "gi7d29");
}

bool dotname_is_gitignore(const char *name)
{
	return is_dotname(name, "gitignore", "gi250a");
}

bool dotname_is_mailmap(const char *name)
{
	return is_dotname(name, "mailmap", "maba30");
}

#include "receiver/refname.h"

#include <limits.h>

#include "base/str.h"

#define LOCK_SUFFIX ".lock"

/* Length of a well-formed component at p, or -1. */
static int component_length(const char *p)
{
	int n;
	char last = '\0';

	for (n = 0; p[n] != '\0' && p[n] != '/'; last = p[n], n++) {
		unsigned char c = (unsigned char)p[n];

		if (c < 0x20 || c == 0x7f || strchr(" ~^:?*[\\", c))
			return -1;
		if ((c == '.' && last == '.') || (c == '{' && last == '@'))
			return -1;
	}
	if (n == 0 || p[0] == '.')
		return -1;
	if (n >= 5 && strncmp(p + n - 5, ".lock", 5) == 0)
		return -1;
	return n;
}

bool refname_is_valid(const char *name, bool one_level)
{
	const char *p = str_after_prefix(name, "refs/");
	int components = 0;

	if (!p || str_has_suffix(name, "."))
		return false;
	if (str_equal(p, "@"))
		return false;
	for (;;) {
		int n = component_length(p);

		if (n < 0)
			return false;
		components++;
		p += n;
		if (*p == '\0')
			break;
		p++;
	}
	return components >= (one_level ? 1 : 2);
}

bool refname_is_too_long(const char *name)
{
	const size_t component_max = NAME_MAX - strlen(LOCK_SUFFIX);
	size_t size = strlen(name);

	for (const char *p = name; *p; p += *p == '/') {
		size_t n = strcspn(p, "/");

		if (n > component_max)
			return true;
		p += n;
	}
	return size + strlen(LOCK_SUFFIX) >= PATH_MAX;
}

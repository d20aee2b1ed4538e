#pragma once

/*
 * Names that some file system takes for a name beginning with a dot that git gives a meaning to: with
 * other letter case, code points that HFS+ ignores, NTFS short names, trailing blanks and dots, stream
 * suffixes. Also backslashes count as separators, because they are ones on Windows.
 */

#include <stdbool.h>

/* Does the NUL-terminated name stand for ".git", ".gitmodules", ... somewhere? */
bool dotname_is_git(const char *name);
bool dotname_is_gitmodules(const char *name);
bool dotname_is_gitattributes(const char *name);
bool dotname_is_gitignore(const char *name);
bool dotname_is_mailmap(const char *name);

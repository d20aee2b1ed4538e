#include "hostkitd/account.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "hostkitd/internal.h"

static void file_closep(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* only read from */
}

int account_find(const char *name, struct account *ret_account, char **ret_comment)
{
	_cleanup_(file_closep) FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	if (!file)
		return -errno;
	while ((entry = fgetpwent(file))) {
		if (!str_equal(entry->pw_name, name))
			continue;
		if (ret_comment) {
			*ret_comment = strdup(entry->pw_gecos ? entry->pw_gecos : "");
			if (!*ret_comment)
				return -ENOMEM;
		}
		*ret_account = (struct account){ entry->pw_uid, entry->pw_gid };
		return 1;
	}
	return 0;
}

int account_name(uid_t uid, char **ret_name)
{
	_cleanup_(file_closep) FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	if (!file)
		return -errno;
	while ((entry = fgetpwent(file)))
		if (entry->pw_uid == uid) {
			*ret_name = strdup(entry->pw_name);
			return *ret_name ? 1 : -ENOMEM;
		}
	return 0;
}

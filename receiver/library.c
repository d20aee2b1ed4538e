#include "receiver/library.h"

#include <git2/common.h>
#include <git2/config.h>
#include <git2/errors.h>
#include <git2/global.h>

#define WINDOW_BYTES ((size_t)32 << 20)
#define MAPPED_BYTES ((size_t)512 << 20)

int library_start(struct error *err)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_PROGRAMDATA,
				      GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
				      GIT_CONFIG_LEVEL_GLOBAL };

	if (git_libgit2_init() < 0)
		return error_internal(err, -EIO, "start libgit2: %s",
				      git_error_last() ? git_error_last()->message : "?");
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		(void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	(void)git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, WINDOW_BYTES);
	(void)git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, MAPPED_BYTES);
	return 0;
}

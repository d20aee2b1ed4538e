#include "receiver/upkeep.h"

#include <stdio.h>
#include <sys/stat.h>

#include <git2/errors.h>
#include <git2/repository.h>

#include "base/fs.h"
#include "base/str.h"
#include "receiver/boundary.h"
#include "receiver/refname.h"
#include "receiver/refs.h"
#include "receiver/store.h"

#define FIRST_BRANCH "refs/heads/main"

int upkeep_init(const char *path, struct error *err)
{
	git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	git_repository *repository = NULL;
	_cleanup_free_ char *head = str_format("%s/HEAD", path);
	_cleanup_free_ char *objects = str_format("%s/objects/pack", path);

	if (!head || !objects)
		return -ENOMEM;
	/* HEAD is written last but one, the directory of packs last */
	if (access(head, F_OK) == 0 && access(objects, F_OK) == 0)
		return 0;
	options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
	options.mode = 0700;
	options.initial_head = FIRST_BRANCH;
	if (git_repository_init_ext(&repository, path, &options) < 0)
		return error_internal(err, -EIO, "make %s: %s", path,
				      git_error_last() ? git_error_last()->message : "?");
	git_repository_free(repository);
	return 0;
}

int upkeep_update_ref(const char *path, const char *ref, const char *old_hex,
		      const char *new_hex, struct error *err)
{
	_cleanup_store_ struct store store = { .fd = -EBADF, .objects_fd = -EBADF };
	struct ref_change change = { .name = ref };
	_cleanup_close_ int lock = -EBADF;
	_cleanup_free_ char *why = NULL;
	git_oid now = { 0 };
	int r;

	if (!refname_is_valid(ref, false))
		return error_user(err, -EINVAL, "BAD_REF", "'%s' is no ref name", ref);
	(void)git_oid_fromstr(&change.old_oid, old_hex); /* the options were checked */
	(void)git_oid_fromstr(&change.new_oid, new_hex);
	r = store_open(path, &store, err);
	if (r < 0)
		return r;
	lock = store_lock(&store);
	if (lock < 0)
		return error_internal(err, lock, "lock %s", path);
	r = refs_read(store.fd, ref, &now);
	if (r < 0)
		return error_internal(err, r, "read %s", ref);
	if (r == 0)
		now = (git_oid){ 0 };
	if (git_oid_equal(&now, &change.new_oid))
		return 0;
	if (!git_oid_is_zero(&change.new_oid) &&
	    !git_odb_exists(store.odb, &change.new_oid))
		return error_user(err, -ENOENT, "NO_SUCH_OBJECT", "there is no object %s",
				  new_hex);
	r = boundary_settle(&store, &change.new_oid);
	if (r != 0)
		return error_internal(err, r < 0 ? r : -EFBIG, "write %s/shallow", path);
	r = refs_apply(store.fd, &change, 1, REFS_ATOMIC | REFS_SOLE_WRITER);
	why = change.message;
	if (r < 0)
		return error_internal(err, r, "update %s", ref);
	return r == REFS_E_OK ? 0
			      : error_user(err, -ESTALE, "REF_MOVED", "%s",
					   why ? why : "the ref has moved");
}

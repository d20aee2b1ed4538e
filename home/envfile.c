/* The file .env in a home: reading, creating and changing it. Runs as the project's user. */
#include "home/home.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "home/env.h"

#define ENV_NAME ".env"
#define ENV_MODE 0600
/* A request names at most as much as a file can hold, and its framing. */
#define ENV_REQUEST_MAX (2 * ENV_FILE_MAX)

/* How long to wait for another change to end. */
#define LOCK_TRIES 500
#define LOCK_PAUSE_NSEC (20 * 1000 * 1000)

/* Returns 1 with the bytes, 0 when there is no such file, or a negative errno value. */
static int read_file(int home_fd, struct strbuf *contents, struct error *err)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r = fs_read_at(home_fd, ENV_NAME, ENV_FILE_MAX, &data, &size);

	if (r == -ENOENT)
		return 0;
	if (r == -EFBIG)
		return error_user(err, r, "ENV_TOO_LARGE", ".env is larger than %u bytes",
				  ENV_FILE_MAX);
	if (r == -ELOOP || r == -EINVAL || r == -ENXIO)
		return error_user(err, r, "ENV_INVALID",
				  ".env in the project's home is no regular file");
	if (r < 0)
		return error_internal(err, r, "read .env");
	strbuf_append(contents, data, size);
	explicit_bzero(data, size);
	return strbuf_failed(contents) ? error_internal(err, -ENOMEM, "read .env") : 1;
}

int home_env_check(int home_fd, struct error *err)
{
	struct stat st;

	return fstatat(home_fd, ENV_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? error_internal(err, -errno, ".env")
		       : 0;
}

int home_env_create(int home_fd, int in_fd, struct error *err)
{
	_cleanup_(strbuf_done_secret) struct strbuf contents = { 0 };
	_cleanup_env_ struct env env = { 0 };
	struct stat st;
	int r;

	if (fstatat(home_fd, ENV_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISREG(st.st_mode))
			return 0;
		return error_user(err, -EEXIST, "ENV_INVALID",
				  ".env in the project's home is no regular file");
	}
	r = io_read_all(in_fd, ENV_FILE_MAX, &contents);
	if (r < 0)
		return error_internal(err, r, "read the first .env");
	r = env_parse(strbuf_get(&contents), contents.size, &env, err);
	if (r < 0)
		return r;
	r = fs_replace_at(home_fd, ENV_NAME, ENV_MODE, strbuf_get(&contents),
			  contents.size);
	return r < 0 ? error_internal(err, r, "write .env") : 0;
}

int home_env_read(int home_fd, int out_fd, struct error *err)
{
	_cleanup_(strbuf_done_secret) struct strbuf contents = { 0 };
	int r = read_file(home_fd, &contents, err);

	if (r < 0)
		return r;
	r = io_write_all(out_fd, strbuf_get(&contents), contents.size);
	return r < 0 ? error_internal(err, r, "hand over .env") : 0;
}

/* One change at a time. The project may hold the lock as long as it likes; we do not wait that long. */
static int lock_home(int home_fd, int *ret_fd, struct error *err)
{
	static const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NSEC };
	_cleanup_close_ int fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_internal(err, -errno, "open the home");
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
		if (errno != EWOULDBLOCK)
			return error_internal(err, -errno, "lock the home");
		(void)nanosleep(&pause, NULL); /* flock(2) has no deadline of its own */
	}
	return error_user(err, -EAGAIN, "ENV_BUSY",
			  "another change of .env is not over yet");
}

static int edit(int home_fd, const struct env_changes *changes, bool *changed,
		struct error *err)
{
	_cleanup_(strbuf_done_secret) struct strbuf contents = { 0 };
	_cleanup_env_ struct env env = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	bool any = false;
	int r;

	r = lock_home(home_fd, &lock_fd, err);
	if (r >= 0)
		r = read_file(home_fd, &contents, err);
	if (r >= 0)
		r = env_parse(strbuf_get(&contents), contents.size, &env, err);
	if (r >= 0)
		r = env_apply(&env, changes, changed, err);
	if (r < 0)
		return r;

	for (uint32_t i = 0; i < changes->count; i++)
		any = any || changed[i];
	if (!any)
		return 0;
	strbuf_clear(&contents);
	env_render(&env, &contents);
	if (contents.size > ENV_FILE_MAX)
		return error_user(err, -EFBIG, "ENV_TOO_LARGE",
				  ".env would be larger than %u bytes", ENV_FILE_MAX);
	r = strbuf_failed(&contents)
		    ? -ENOMEM
		    : fs_replace_at(home_fd, ENV_NAME, ENV_MODE, strbuf_get(&contents),
				    contents.size);
	return r < 0 ? error_internal(err, r, "write .env") : 0;
}

int home_env_edit(int home_fd, int in_fd, int out_fd, struct error *err)
{
	_cleanup_(strbuf_done_secret) struct strbuf request = { 0 };
	_cleanup_env_changes_ struct env_changes changes = { 0 };
	_cleanup_error_ struct error refusal = ERROR_INIT;
	_cleanup_strbuf_ struct strbuf answer = { 0 };
	_cleanup_free_ bool *changed = NULL;
	int r;

	r = io_read_all(in_fd, ENV_REQUEST_MAX, &request);
	if (r >= 0)
		r = env_changes_get(strbuf_get(&request), request.size, &changes);
	changed = calloc(changes.count ? changes.count : 1, sizeof(*changed));
	if (r < 0 || !changed)
		(void)error_user(&refusal, -EBADMSG, "INVALID_REQUEST",
				 "the list of changes is malformed or too long");
	else if (edit(home_fd, &changes, changed, &refusal) < 0 && !refusal.code)
		log_error(LOG_ERR, &refusal, "change .env");

	env_answer_put(&answer, changed, changes.count, &refusal);
	r = strbuf_failed(&answer) ? -ENOMEM
				   : io_write_all(out_fd, answer.data, answer.size);
	return r < 0 ? error_internal(err, r, "answer") : 0;
}

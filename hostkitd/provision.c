/*
 * The steps of a project's life that need root. Each is idempotent in both directions, so that a job can
 * repeat it after a crash; undoing what was never done is success.
 *
 * www-data, the user of nginx, becomes a member of a static project's group: the home is 0750, and the
 * group is what its owner already grants reading to. (An ACL would need a tool and a file system that has it.)
 */

#include "hostkitd/provision.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "hostkitd/account.h"
#include "hostkitd/port.h"
#include "hostkitd/site.h"
#include "hostkitd/systemd.h"
#include "hostkitd/unit.h"

#define UNITS_DIR "/etc/systemd/system"
#define LOGS_DIR "/var/log/projects"
#define WEB_USER "www-data"

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int run_tool(struct task *task, const char *path, const char *const *argv,
		    struct error *err)
{
	struct process_plan plan = {
		.path = path,
		.argv = argv,
		.fds = { -1, -1, STDERR_FILENO },
		.fd_count = 3,
	};

	return task_child(task, &plan, err);
}

static bool is_empty(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool empty = true;
	int r = 0;

	if (!dir) {
		fd_close(fd);
		return false;
	}
	while (empty && (entry = fs_next_entry(dir, &r)))
		empty = str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..");
	(void)closedir(dir); /* only read from */
	return empty && r == 0;
}

/*
 * Make a directory that belongs to a project in one that root alone can write to. Returns its descriptor; what
 * stands there under that name must be the project's already, or root's and empty (made before a crash).
 */
static int make_owned_directory(int parent_fd, const char *name, uid_t uid, gid_t gid,
				mode_t mode, struct error *err)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r = fs_mkdir_at(parent_fd, name, 0700);

	if (r < 0)
		return error_internal(err, r, "make directory %s", name);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_internal(err, -errno, "open directory %s", name);
	if (st.st_uid != uid && (st.st_uid != 0 || !is_empty(fd))) {
		error_user(err, -EEXIST, "PROJECT_EXISTS",
			   "there is a directory '%s' already that is not the project's",
			   name);
		error_suggest(err, "move it away, or choose another name");
		return -EEXIST;
	}
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return error_internal(err, -errno, "owner of %s", name);
	return TAKE_FD(fd);
}

/* -- account -- */

static int account_check(struct task *task, struct error *err)
{
	struct account account;
	int r = account_find(task->project->name, &account, NULL);

	if (r < 0)
		return error_internal(err, r, "user %s", task->project->name);
	task->changed = r == 0;
	return TASK_NEXT;
}

static int account_create(struct task *task, struct error *err)
{
	_cleanup_free_ char *home = home_path(task->project->name), *comment = NULL;
	struct account account;
	int r = account_find(task->project->name, &account, &comment);

	if (r < 0 || !home)
		return error_internal(err, r < 0 ? r : -ENOMEM, "user %s",
				      task->project->name);
	task->status = 0;
	if (r > 0 && !str_equal(comment, ACCOUNT_COMMENT))
		return error_user(err, -EEXIST, "PROJECT_EXISTS",
				  "there is a user '%s' on this machine already",
				  task->project->name);
	if (r > 0)
		return TASK_NEXT;

	task->changed = true;
	const char *const argv[] = { "useradd",
				     "--system",
				     "--user-group",
				     "--no-create-home",
				     "--home-dir",
				     home,
				     "--shell",
				     "/bin/bash",
				     "--comment",
				     ACCOUNT_COMMENT,
				     "--",
				     task->project->name,
				     NULL };
	return run_tool(task, "/usr/sbin/useradd", argv, err);
}

static int account_home(struct task *task, struct error *err)
{
	_cleanup_close_ int homes = -EBADF, home = -EBADF;
	struct account account;
	int r = task_child_good(task, "useradd", err);

	if (r < 0)
		return r;
	r = account_find(task->project->name, &account, NULL);
	if (r <= 0)
		return error_internal(err, r < 0 ? r : -ENOENT, "user %s",
				      task->project->name);
	homes = open_directory("/home");
	if (homes < 0)
		return error_internal(err, homes, "open /home");
	home = make_owned_directory(homes, task->project->name, account.uid, account.gid,
				    0750, err);
	if (home < 0)
		return home;

	if (task->project->runtime != RUNTIME_STATIC ||
	    account_find(WEB_USER, &account, NULL) <= 0)
		return TASK_NEXT;
	const char *const argv[] = { "usermod",  "--append",
				     "--groups", task->project->name,
				     "--",       WEB_USER,
				     NULL };
	return run_tool(task, "/usr/sbin/usermod", argv, err);
}

static int account_joined(struct task *task, struct error *err)
{
	return task_child_good(task, "usermod", err);
}

/* Nothing of the project may go on running: it would keep the user busy, or outlive its name. */
static int account_kill(struct task *task, struct error *err)
{
	_cleanup_free_ char *comment = NULL;
	struct account account;
	int r = account_find(task->project->name, &account, &comment);

	if (r < 0)
		return error_internal(err, r, "user %s", task->project->name);
	if (r == 0 || !str_equal(comment, ACCOUNT_COMMENT)) {
		task->value = 0; /* not ours to remove */
		return TASK_NEXT;
	}
	task->value = 1;
	/* as the user itself: the kernel then picks exactly its processes */
	struct process_plan plan = {
		.path = "/usr/bin/kill",
		.argv = (const char *const[]){ "kill", "-KILL", "--", "-1", NULL },
		.fds = { -1, -1, -1 },
		.fd_count = 3,
		.drop = true,
		.uid = account.uid,
		.gid = account.gid,
	};
	return task_child(task, &plan, err);
}

/* The home is empty by now, or this was the first step that was undone and it never held anything. */
static int account_empty(struct task *task, struct error *err)
{
	_cleanup_close_ int homes = open_directory("/home");

	if (task->value == 0)
		return TASK_NEXT;
	if (homes < 0)
		return error_internal(err, homes, "open /home");
	if (unlinkat(homes, task->project->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_internal(err, -errno, "remove /home/%s",
				      task->project->name);
	return TASK_NEXT;
}

static int account_leave(struct task *task, struct error *err)
{
	const char *const argv[] = { "gpasswd", "--delete", WEB_USER, task->project->name,
				     NULL };

	if (task->value == 0 || task->project->runtime != RUNTIME_STATIC)
		return TASK_NEXT;
	return run_tool(task, "/usr/bin/gpasswd", argv, err); /* 3: was not in it */
}

static int account_delete(struct task *task, struct error *err)
{
	const char *const argv[] = { "userdel", "--force", "--", task->project->name,
				     NULL };

	task->status = 0;
	if (task->value == 0)
		return TASK_NEXT;
	return run_tool(task, "/usr/sbin/userdel", argv, err);
}

static int account_deleted(struct task *task, struct error *err)
{
	return task_child_good(task, "userdel", err);
}

static void forget_job_log(int64_t job, void *userdata)
{
	_cleanup_free_ char *path =
		str_format(DAEMON_STATE_DIR "/jobs/%lld.log", (long long)job);

	(void)userdata;
	if (path)
		(void)unlink(path); /* may never have been written */
}

static int row_delete(struct task *task, struct error *err)
{
	return state_project_remove(task->daemon->state, task->project->name, task->job,
				    forget_job_log, NULL, err);
}

/* -- layout and repository -- */

static int user_exists(struct task *task)
{
	struct account account;

	return account_find(task->project->name, &account, NULL);
}

/* Of the home only its own program can tell. Without one, everything is to be done. */
static int check_home(struct task *task, const char *const *argv, struct error *err)
{
	_cleanup_free_ char *home = home_path(task->project->name);
	struct stat st;

	if (!home)
		return error_internal(err, -ENOMEM, "home");
	task->changed = true;
	task->status = 1;
	return user_exists(task) > 0 && lstat(home, &st) == 0
		       ? home_run(task, argv, -1, err)
		       : TASK_NEXT;
}

static int home_checked(struct task *task, struct error *err)
{
	(void)err;
	task->changed = task->status != 0; /* whatever is wrong, doing it finds out */
	return TASK_NEXT;
}

static const char *python_option(const struct task *task)
{
	return task->project->runtime == RUNTIME_PYTHON ? "--python" : NULL;
}

static int layout_check(struct task *task, struct error *err)
{
	const char *const argv[] = { "hostkit-home", "layout-check", python_option(task),
				     NULL };
	_cleanup_free_ char *path = repository_path(task->project->name), *head = NULL;
	struct stat st;

	head = path ? str_format("%s/HEAD", path) : NULL;
	if (!head)
		return error_internal(err, -ENOMEM, "repository");
	task->status = 1;
	return lstat(head, &st) < 0 ? TASK_NEXT : check_home(task, argv, err);
}

static int layout_home(struct task *task, struct error *err)
{
	const char *const argv[] = { "hostkit-home", "layout", python_option(task),
				     NULL };

	return home_run(task, argv, -1, err);
}

static int layout_repository(struct task *task, struct error *err)
{
	_cleanup_close_ int repos = open_directory(DAEMON_STATE_DIR "/repos"),
			    fd = -EBADF;
	_cleanup_free_ char *name = str_format("%s.git", task->project->name);
	_cleanup_free_ char *path = repository_path(task->project->name);
	struct account account;
	int r = task_child_good(task, "hostkit-home layout", err);

	if (r < 0)
		return r;
	if (repos < 0 || !name || !path)
		return error_internal(err, repos < 0 ? repos : -ENOMEM, "repositories");
	r = account_find(task->project->name, &account, NULL);
	if (r <= 0)
		return error_internal(err, r < 0 ? r : -ENOENT, "user %s",
				      task->project->name);
	fd = make_owned_directory(repos, name, account.uid, account.gid, 0700, err);
	if (fd < 0)
		return fd;
	task->changed = true;

	const char *const argv[] = { "hostkit-receive", "--init", path, NULL };
	return repository_run(task, argv, err);
}

static int layout_made(struct task *task, struct error *err)
{
	return task_child_good(task, "hostkit-receive --init", err);
}

static int layout_remove_home(struct task *task, struct error *err)
{
	_cleanup_free_ char *home = home_path(task->project->name);
	const char *const argv[] = { "hostkit-home", "remove", NULL };
	struct stat st;

	task->status = 0;
	if (!home)
		return error_internal(err, -ENOMEM, "home");
	/* what is left is the user's own to remove */
	if (user_exists(task) <= 0 || lstat(home, &st) < 0)
		return TASK_NEXT;
	task->slow = true;
	return home_run(task, argv, -1, err);
}

static int layout_remove_repository(struct task *task, struct error *err)
{
	_cleanup_free_ char *path = repository_path(task->project->name);
	struct account account;
	struct stat st;
	int r = task_child_good(task, "hostkit-home remove", err);

	if (r < 0)
		return r;
	if (!path)
		return error_internal(err, -ENOMEM, "repository");
	r = account_find(task->project->name, &account, NULL);
	if (r <= 0 || lstat(path, &st) < 0)
		return TASK_NEXT;
	/* the same program empties whatever directory it is started in */
	struct process_plan plan = {
		.path = HOSTKIT_LIBEXEC_DIR "/hostkit-home",
		.argv = (const char *const[]){ "hostkit-home", "remove", NULL },
		.fds = { -1, -1, STDERR_FILENO },
		.fd_count = 3,
		.drop = true,
		.uid = account.uid,
		.gid = account.gid,
		.directory = path,
	};
	task->slow = true;
	return task_child(task, &plan, err);
}

static int layout_removed(struct task *task, struct error *err)
{
	_cleanup_close_ int repos = open_directory(DAEMON_STATE_DIR "/repos");
	_cleanup_free_ char *name = str_format("%s.git", task->project->name);
	int r = task_child_good(task, "hostkit-home remove (repository)", err);

	if (r < 0)
		return r;
	if (repos < 0 || !name)
		return error_internal(err, repos < 0 ? repos : -ENOMEM, "repositories");
	if (unlinkat(repos, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_internal(err, -errno, "remove repository %s", name);
	return TASK_NEXT;
}

/* -- port -- */

static int port_check(struct task *task, struct error *err)
{
	(void)err;
	task->changed =
		task->project->runtime != RUNTIME_STATIC && task->project->port == 0;
	return TASK_NEXT;
}

static int port_take(struct task *task, struct error *err)
{
	uint32_t port;
	int r;

	if (task->project->runtime == RUNTIME_STATIC || task->project->port != 0)
		return TASK_NEXT;
	r = port_choose(task->daemon->state, task->daemon->settings, &port, err);
	if (r < 0)
		return r;
	task->changed = true;
	return state_project_set_port(task->daemon->state, task->project->name, port,
				      err);
}

static int port_give_back(struct task *task, struct error *err)
{
	return state_project_set_port(task->daemon->state, task->project->name, 0, err);
}

/* -- .env -- */

static int env_text(const struct project *p, struct strbuf *text)
{
	strbuf_format(text, "PROJECT_NAME=%s\n", p->name);
	if (p->port != 0)
		strbuf_format(text, "PORT=%u\n", p->port);
	strbuf_str(text, "HOST=127.0.0.1\n");
	if (p->runtime == RUNTIME_NODE || p->runtime == RUNTIME_NEXTJS)
		strbuf_str(text, "NODE_ENV=production\n");
	return strbuf_failed(text) ? -ENOMEM : 0;
}

static int env_check(struct task *task, struct error *err)
{
	const char *const argv[] = { "hostkit-home", "env-check", NULL };

	return check_home(task, argv, err);
}

static int env_create(struct task *task, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_close_ int fd = memfd_create("env", MFD_CLOEXEC);
	const char *const argv[] = { "hostkit-home", "env-create", NULL };
	int r = fd < 0 ? -errno : env_text(task->project, &text);

	if (r >= 0)
		r = io_write_all(fd, text.data, text.size);
	if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return error_internal(err, r, "first variables of %s",
				      task->project->name);
	task->changed = true;
	return home_run(task, argv, fd, err);
}

static int env_created(struct task *task, struct error *err)
{
	return task_child_good(task, "hostkit-home env-create", err);
}

static int nothing(struct task *task, struct error *err)
{
	(void)task; /* goes with the home */
	(void)err;
	return TASK_NEXT;
}

/* -- unit -- */

static int unit_is_current(struct task *task, struct strbuf *text, struct error *err)
{
	_cleanup_close_ int units = open_directory(UNITS_DIR);
	_cleanup_free_ char *name = unit_name(task->project->name), *have = NULL;
	size_t size;
	int r = unit_text(task->project, text);

	if (r < 0 || !name)
		return error_internal(err, -ENOMEM, "unit");
	if (units < 0)
		return error_internal(err, units, "open " UNITS_DIR);
	return fs_read_at(units, name, 65536, &have, &size) == 0 && size == text->size &&
	       memcmp(have, text->data, size) == 0;
}

static int unit_check(struct task *task, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	int r;

	if (!unit_is_wanted(task->project->runtime))
		return TASK_NEXT;
	r = unit_is_current(task, &text, err);
	if (r < 0)
		return r;
	task->changed = r == 0;
	return TASK_NEXT;
}

static void on_systemd(void *userdata, int result, struct error *err)
{
	task_resume(userdata, result, err);
}

/* systemd is asked to do what may have been done already, or is no longer possible. */
static void on_systemd_any(void *userdata, int result, struct error *err)
{
	if (result < 0)
		log_error(LOG_DEBUG, err, "undo, going on");
	task_resume(userdata, 0, NULL);
}

static int unit_write(struct task *task, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_close_ int units = open_directory(UNITS_DIR);
	_cleanup_free_ char *name = unit_name(task->project->name);
	int r;

	if (!unit_is_wanted(task->project->runtime))
		return TASK_NEXT;
	r = unit_is_current(task, &text, err);
	if (r != 0)
		return r < 0 ? r : TASK_NEXT;
	if (units < 0 || !name)
		return error_internal(err, units < 0 ? units : -ENOMEM, "unit");
	r = fs_replace_at(units, name, 0644, text.data, text.size);
	if (r < 0)
		return error_internal(err, r, "write %s", name);
	task->changed = true;
	r = systemd_reload(task->daemon->systemd, on_systemd, task, err);
	return r < 0 ? r : TASK_WAIT;
}

static int unit_stop(struct task *task, struct error *err)
{
	_cleanup_free_ char *name = unit_name(task->project->name);
	int r = name ? systemd_unit_job(task->daemon->systemd, "StopUnit", name,
					on_systemd_any, task, err)
		     : -ENOMEM;

	return r < 0 ? error_wrap(err, r, "stop unit") : TASK_WAIT;
}

static int unit_disable(struct task *task, struct error *err)
{
	_cleanup_free_ char *name = unit_name(task->project->name);
	int r = name ? systemd_enable(task->daemon->systemd, name, false, on_systemd_any,
				      task, err)
		     : -ENOMEM;

	return r < 0 ? error_wrap(err, r, "disable unit") : TASK_WAIT;
}

static int unit_delete(struct task *task, struct error *err)
{
	_cleanup_close_ int units = open_directory(UNITS_DIR);
	_cleanup_free_ char *name = unit_name(task->project->name);
	int r;

	if (units < 0 || !name)
		return error_internal(err, units < 0 ? units : -ENOMEM, "unit");
	if (unlinkat(units, name, 0) < 0)
		return errno == ENOENT ? TASK_NEXT
				       : error_internal(err, -errno, "remove %s", name);
	systemd_reset_failed(task->daemon->systemd, name);
	r = systemd_reload(task->daemon->systemd, on_systemd, task, err);
	return r < 0 ? r : TASK_WAIT;
}

/* -- logs -- */

static int logs_check(struct task *task, struct error *err)
{
	_cleanup_free_ char *path =
		str_format(LOGS_DIR "/%s/error.log", task->project->name);
	struct stat st;

	if (!path)
		return error_internal(err, -ENOMEM, "logs");
	task->changed = lstat(path, &st) < 0;
	return TASK_NEXT;
}

static int logs_create(struct task *task, struct error *err)
{
	static const char *const names[] = { "app.log", "error.log" };
	_cleanup_close_ int logs = open_directory(LOGS_DIR), dir = -EBADF;
	struct account account;
	int r;

	if (logs < 0)
		return error_internal(err, logs, "open " LOGS_DIR);
	r = account_find(task->project->name, &account, NULL);
	if (r <= 0)
		return error_internal(err, r < 0 ? r : -ENOENT, "user %s",
				      task->project->name);
	/* root's directory: the project can read it, not put links into it */
	dir = make_owned_directory(logs, task->project->name, 0, account.gid, 0750, err);
	if (dir < 0)
		return dir;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd =
			openat(dir, names[i],
			       O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
			       0640);

		if (fd < 0 || fchown(fd, account.uid, account.gid) < 0 ||
		    fchmod(fd, 0640) < 0)
			return error_internal(err, -errno, "log %s", names[i]);
	}
	task->changed = true;
	return TASK_NEXT;
}

static int logs_remove(struct task *task, struct error *err)
{
	_cleanup_close_ int logs = open_directory(LOGS_DIR);
	int r;

	if (logs < 0)
		return logs == -ENOENT ? TASK_NEXT
				       : error_internal(err, logs, "open " LOGS_DIR);
	r = fs_remove_tree_at(logs, task->project->name); /* root's own directory */
	return r < 0 ? error_internal(err, r, "remove logs") : TASK_NEXT;
}

/* -- row -- */

static int row_check(struct task *task, struct error *err)
{
	(void)err;
	task->changed = task->project->state != PROJECT_READY;
	return TASK_NEXT;
}

static int row_ready(struct task *task, struct error *err)
{
	task->changed = task->project->state != PROJECT_READY;
	return state_project_set_state(task->daemon->state, task->project->name,
				       PROJECT_READY, err);
}

static int row_not_ready(struct task *task, struct error *err)
{
	if (task->project->state != PROJECT_READY)
		return TASK_NEXT;
	task->changed = true;
	return state_project_set_state(task->daemon->state, task->project->name,
				       PROJECT_DELETING, err);
}

#define UNDO_ROW row_not_ready
#define UNDO_SITE site_remove, site_reload
#define UNDO_LOGS logs_remove
#define UNDO_UNIT unit_stop, unit_disable, unit_delete
#define UNDO_PORT port_give_back
#define UNDO_LAYOUT \
	account_kill, layout_remove_home, layout_remove_repository, layout_removed
#define UNDO_ACCOUNT                                                                 \
	account_kill, account_empty, account_leave, account_delete, account_deleted, \
		row_delete

#define STEPS(...)                \
	(const task_step[])       \
	{                         \
		__VA_ARGS__, NULL \
	}

static const task_step *const steps[_PROVISION_STEP_N][_STEP_ACTION_N] = {
	[PROVISION_STEP_ACCOUNT] = { STEPS(account_check),
				     STEPS(account_create, account_home, account_joined),
				     STEPS(UNDO_ACCOUNT) },
	[PROVISION_STEP_LAYOUT] = { STEPS(layout_check, home_checked),
				    STEPS(layout_home, layout_repository, layout_made),
				    STEPS(UNDO_LAYOUT) },
	[PROVISION_STEP_PORT] = { STEPS(port_check), STEPS(port_take), STEPS(UNDO_PORT) },
	[PROVISION_STEP_ENV] = { STEPS(env_check, home_checked),
				 STEPS(env_create, env_created), STEPS(nothing) },
	[PROVISION_STEP_UNIT] = { STEPS(unit_check), STEPS(unit_write),
				  STEPS(UNDO_UNIT) },
	[PROVISION_STEP_LOGS] = { STEPS(logs_check), STEPS(logs_create),
				  STEPS(UNDO_LOGS) },
	[PROVISION_STEP_SITE] = { site_check_steps, site_do_steps, STEPS(UNDO_SITE) },
	[PROVISION_STEP_ROW] = { STEPS(row_check), STEPS(row_ready), STEPS(UNDO_ROW) },
};

const task_step *provision_steps(enum provision_step step, enum step_action action)
{
	return steps[step][action];
}

const task_step *provision_undo_all(void)
{
	static const task_step all[] = { UNDO_ROW,  UNDO_SITE,   UNDO_LOGS,    UNDO_UNIT,
					 UNDO_PORT, UNDO_LAYOUT, UNDO_ACCOUNT, NULL };

	return all;
}

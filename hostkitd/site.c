/*
 * Sites. nginx reads its whole configuration at once, so a new site is tested in place and taken away again
 * if nginx does not accept it. A machine without nginx, or with one that does not run, can still have
 * projects: then the step says so and succeeds.
 */

#include "hostkitd/site.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "hostkitd/systemd.h"

#define NGINX "/usr/sbin/nginx"
#define NGINX_UNIT "nginx.service"
#define SITES_AVAILABLE "/etc/nginx/sites-available"
#define SITES_ENABLED "/etc/nginx/sites-enabled"
#define SITE_MAX 65536

void site_escape(struct strbuf *buf, const char *s)
{
	strbuf_char(buf, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || c == '$')
			buf->failed = true;
		if (c == '"' || c == '\\')
			strbuf_char(buf, '\\');
		strbuf_char(buf, *s);
	}
	strbuf_char(buf, '"');
}

static void put_proxy(struct strbuf *text, uint32_t port)
{
	strbuf_format(
		text,
		"    location / {\n"
		"        proxy_pass http://127.0.0.1:%u;\n"
		"        proxy_http_version 1.1;\n"
		"        proxy_set_header Host $host;\n"
		"        proxy_set_header X-Real-IP $remote_addr;\n"
		"        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
		"        proxy_set_header X-Forwarded-Proto $scheme;\n"
		"        proxy_set_header Upgrade $http_upgrade;\n"
		"        proxy_set_header Connection $http_connection;\n"
		"        proxy_read_timeout 300s;\n"
		"    }\n",
		port);
}

/*
 * nginx reads what its group membership lets it read in every static project, so a link counts only if
 * its owner owns the target too: `app` may lead to a release, not to another project's. Names that begin with
 * a dot are not served, but for .well-known.
 */
static void put_static(struct strbuf *text, const char *project)
{
	_cleanup_free_ char *root = str_format("/home/%s/app", project);

	if (!root) {
		text->failed = true;
		return;
	}
	strbuf_str(text, "    root ");
	site_escape(text, root);
	strbuf_str(text, ";\n"
			 "    index index.html;\n"
			 "    disable_symlinks if_not_owner;\n"
			 "    location / {\n"
			 "        try_files $uri $uri/ =404;\n"
			 "    }\n"
			 "    location ~ /\\.(?!well-known/) {\n"
			 "        return 404;\n"
			 "    }\n");
}

int site_text(const struct project *p, const char *apex, struct strbuf *ret_text)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_free_ char *host = str_format("%s.%s", p->name, apex);

	if (!host)
		return -ENOMEM;
	strbuf_str(&text, "# Written by HostKit; changes are lost.\n"
			  "server {\n"
			  "    listen 80;\n"
			  "    listen [::]:80;\n"
			  "    server_name ");
	site_escape(&text, host);
	strbuf_str(&text,
		   ";\n"
		   "    client_max_body_size 100m;\n"
		   "    add_header X-Content-Type-Options nosniff;\n"
		   "    add_header X-Frame-Options SAMEORIGIN;\n"
		   "    add_header Referrer-Policy strict-origin-when-cross-origin;\n");
	if (p->runtime == RUNTIME_STATIC)
		put_static(&text, p->name);
	else
		put_proxy(&text, p->port);
	strbuf_str(&text, "}\n");
	if (strbuf_failed(&text))
		return -ENOMEM;
	*ret_text = text;
	text = (struct strbuf){ 0 };
	return 0;
}

static char *site_name(const char *project)
{
	return str_format("hostkit-%s", project);
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* 1: as it should be, 0: not, or negative. */
static int site_is_current(struct task *task, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_free_ char *name = site_name(task->project->name), *have = NULL;
	_cleanup_close_ int available = open_directory(SITES_AVAILABLE);
	_cleanup_close_ int enabled = open_directory(SITES_ENABLED);
	size_t size;
	struct stat st;
	int r = name ? site_text(task->project, task->daemon->settings->domain_apex,
				 &text)
		     : -ENOMEM;

	if (r < 0)
		return error_internal(err, r, "site of %s", task->project->name);
	if (available < 0 || enabled < 0)
		return 0;
	r = fs_read_at(available, name, SITE_MAX, &have, &size);
	if (r < 0 || size != text.size || memcmp(have, text.data, size) != 0)
		return 0;
	return fstatat(enabled, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int site_check(struct task *task, struct error *err)
{
	int r;

	if (access(NGINX, X_OK) < 0)
		return TASK_NEXT; /* nothing that DO could change */
	r = site_is_current(task, err);
	if (r < 0)
		return r;
	task->changed = r == 0;
	return TASK_NEXT;
}

static int site_write(struct task *task, struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_free_ char *name = site_name(task->project->name), *target = NULL;
	_cleanup_close_ int available = open_directory(SITES_AVAILABLE);
	_cleanup_close_ int enabled = open_directory(SITES_ENABLED);
	int r = name ? site_text(task->project, task->daemon->settings->domain_apex,
				 &text)
		     : -ENOMEM;

	if (r >= 0 && (available < 0 || enabled < 0))
		r = available < 0 ? available : enabled;
	if (r >= 0)
		r = fs_replace_at(available, name, 0644, text.data, text.size);
	target = str_format(SITES_AVAILABLE "/%s", name ? name : "");
	if (r >= 0)
		r = target ? fs_replace_link_at(enabled, name, target) : -ENOMEM;
	return r < 0 ? error_internal(err, r, "site of %s", task->project->name) : 0;
}

/* What nginx has accepted before is put back if it refuses the new one. */
static int site_keep_old(struct task *task, struct error *err)
{
	_cleanup_free_ char *name = site_name(task->project->name);
	_cleanup_close_ int available = open_directory(SITES_AVAILABLE);
	size_t size;
	int r = name ? 0 : -ENOMEM;

	free(task->text);
	task->text = NULL;
	if (r == 0 && available >= 0)
		r = fs_read_at(available, name, SITE_MAX, &task->text, &size);
	return r < 0 && r != -ENOENT
		       ? error_internal(err, r, "site of %s", task->project->name)
		       : 0;
}

static int site_put_back(struct task *task)
{
	_cleanup_free_ char *name = site_name(task->project->name);
	_cleanup_close_ int available = open_directory(SITES_AVAILABLE);

	if (!name || available < 0)
		return name ? available : -ENOMEM;
	return fs_replace_at(available, name, 0644, task->text, strlen(task->text));
}

static int site_begin(struct task *task, struct error *err)
{
	struct process_plan plan = {
		.path = NGINX,
		.argv = (const char *const[]){ "nginx", "-t", "-q", NULL },
		.fds = { -1, -1, STDERR_FILENO },
		.fd_count = 3,
	};
	int r;

	if (access(NGINX, X_OK) < 0) {
		task->note =
			str_format("nginx is not installed: the site of '%s' was not "
				   "set up; install nginx and provision again",
				   task->project->name);
		while (task->steps[task->at])
			task->at++;
		return TASK_NEXT;
	}
	r = site_is_current(task, err);
	if (r < 0)
		return r;
	task->changed = r == 0;
	if (r == 0)
		r = site_keep_old(task, err);
	if (r == 0)
		r = site_write(task, err);
	return r < 0 ? r : task_child(task, &plan, err);
}

int site_remove(struct task *task, struct error *err)
{
	_cleanup_free_ char *name = site_name(task->project->name);
	_cleanup_close_ int available = open_directory(SITES_AVAILABLE);
	_cleanup_close_ int enabled = open_directory(SITES_ENABLED);

	if (!name)
		return error_internal(err, -ENOMEM, "site of %s", task->project->name);
	if (enabled >= 0 && unlinkat(enabled, name, 0) < 0 && errno != ENOENT)
		return error_internal(err, -errno, "remove " SITES_ENABLED "/%s", name);
	if (available >= 0 && unlinkat(available, name, 0) < 0 && errno != ENOENT)
		return error_internal(err, -errno, "remove " SITES_AVAILABLE "/%s", name);
	return TASK_NEXT;
}

static int site_judge(struct task *task, struct error *err)
{
	if (task->status == 0)
		return TASK_NEXT;
	/* a failure of this matters less than why nginx refused */
	if (task->changed && task->text)
		(void)site_put_back(task);
	else if (task->changed)
		(void)site_remove(task, NULL);
	return error_internal(err, -ECHILD,
			      "nginx does not accept the site of %s (nginx -t, see the "
			      "journal of hostkitd)",
			      task->project->name);
}

static void on_reloaded(void *userdata, int result, struct error *err)
{
	struct task *task = userdata;

	if (result < 0) {
		log_error(LOG_WARNING, err, "reload nginx");
		if (!task->note)
			task->note =
				str_format("nginx could not be reloaded: the site of "
					   "'%s' is not served yet",
					   task->project->name);
	}
	task_resume(task, 0, NULL);
}

int site_reload(struct task *task, struct error *err)
{
	struct systemd *systemd = task->daemon->systemd;
	int r = systemd_is_active(systemd, NGINX_UNIT, err);

	if (r < 0)
		return r;
	if (r == 0) {
		if (!task->note)
			task->note = str_format("nginx does not run: the site of '%s' is "
						"served once it does (systemctl start "
						"nginx)",
						task->project->name);
		return TASK_NEXT;
	}
	r = systemd_unit_job(systemd, "ReloadUnit", NGINX_UNIT, on_reloaded, task, err);
	return r < 0 ? r : TASK_WAIT;
}

const task_step site_check_steps[] = { site_check, NULL };
const task_step site_do_steps[] = { site_begin, site_judge, site_reload, NULL };

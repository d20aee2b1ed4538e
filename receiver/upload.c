/*
 * git-upload-pack for one client. Runs as the project's user and only reads the repository. Nothing a
 * client sends makes it hold more than the lists of upload_request.h and a few dozen bytes for each
 * object of the repository.
 */
#include "receiver/upload.h"

#include <fcntl.h>
#include <stdio.h>

#include <git2/common.h>
#include <git2/errors.h>

#include "base/fs.h"
#include "base/str.h"
#include "receiver/upload_internal.h"

#define ROOTS_FILE_MAX (64u * 1024 * 1024)
#define STATUS_FATAL 128 /* git's */

static int git_failure(struct error *err, const char *what)
{
	const git_error *e = git_error_last();

	return error_internal(err, -EIO, "%s: %s", what, e ? e->message : "?");
}

/* REPO/shallow: one object name a line, none if there is no such file. */
static int read_roots(struct upload *upload, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = fs_read_at(upload->repo_fd, "shallow", ROOTS_FILE_MAX, &text, &size);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_internal(err, r, "read shallow");

	for (const char *line = text; *line;) {
		git_oid oid;
		uint32_t number;
		const char *rest = upload_parse_oid(line, &oid);

		if (!rest || (*rest != '\n' && *rest != '\0'))
			return error_internal(err, -EBADMSG, "bad shallow file");
		if (oid_list_add(&upload->roots, &oid) < 0 ||
		    graph_number(&upload->graph, &oid, &number) < 0)
			return -ENOMEM;
		upload->graph.commits[number].flags |= GRAPH_ROOT;
		line = *rest ? rest + 1 : rest;
	}
	return 0;
}

static int open_repository(struct upload *upload, const char *path, struct error *err)
{
	int r;

	upload->repo_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upload->repo_fd < 0 || git_repository_open_bare(&upload->repo, path) < 0)
		return error_user(err, -ENOENT, "GIT_NO_REPOSITORY",
				  "'%s' does not appear to be a git repository", path);
	if (git_repository_odb(&upload->odb, upload->repo) < 0)
		return git_failure(err, "object database");
	upload->graph.odb = upload->odb;

	r = refs_load(upload->repo_fd, &upload->refs);
	if (r < 0)
		return error_internal(err, r, "read refs");
	return read_roots(upload, err);
}

static void upload_done(struct upload *upload)
{
	upload_request_done(&upload->request);
	graph_list_done(&upload->want_commits);
	graph_list_done(&upload->have_commits);
	graph_list_done(&upload->client_shallow);
	graph_done(&upload->graph);
	oid_list_done(&upload->want_objects);
	oid_list_done(&upload->have_objects);
	oid_list_done(&upload->roots);
	refs_done(&upload->refs);
	pktline_reader_done(&upload->reader);
	pktline_writer_done(&upload->writer);
	git_odb_free(upload->odb);
	git_repository_free(upload->repo);
	fd_close(upload->repo_fd);
}

/* Tell the client why nothing more comes. A client that left is told nothing, and no one is bothered. */
static int end_badly(struct upload *upload, int number, const struct error *err)
{
	static const char aborting[] =
		"aborting due to possible repository corruption on the remote side.";
	const char *text = error_is_set(err) ? error_text(err, true) : strerror(-number);

	if (upload->writer.failure == -EPIPE || upload->writer.failure == -ECONNRESET)
		return STATUS_FATAL;
	if (upload->packing && upload->request.band_max > 0)
		pktline_put_band(&upload->writer, PKTLINE_BAND_ERROR, aborting,
				 sizeof(aborting) - 1);
	else if (!upload->packing && !str_equal(error_code(err), "GIT_HUNG_UP"))
		pktline_format(&upload->writer, "ERR %s",
			       err->code ? text : "internal error");
	(void)pktline_send(&upload->writer); /* it is being given up anyway */

	fprintf(stderr, "fatal: %s%s\n",
		str_after_prefix(text, "upload-pack:") ? "git " : "", text);
	return STATUS_FATAL;
}

int upload_run(const struct upload_settings *settings)
{
	struct upload upload = { .version = settings->version, .repo_fd = -EBADF };
	_cleanup_error_ struct error err = ERROR_INIT;
	int r;

	/* each object is read once and was checked when it came in */
	(void)git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
	(void)git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);

	pktline_writer_init(&upload.writer, settings->out_fd);
	r = pktline_reader_init(&upload.reader, settings->in_fd);
	if (r >= 0)
		r = open_repository(&upload, settings->repository, &err);
	if (r >= 0)
		r = settings->version == 2 ? upload_v2(&upload, &err)
					   : upload_v0(&upload, &err);
	if (r >= 0)
		r = pktline_send(&upload.writer);
	r = r < 0 ? end_badly(&upload, r, &err) : 0;
	upload_done(&upload);
	return r;
}

#pragma once

/* What the files of git-upload-pack share. */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <git2/odb.h>
#include <git2/repository.h>

#include "base/error.h"
#include "receiver/graph.h"
#include "receiver/pktline.h"
#include "receiver/refs.h"
#include "receiver/sendset.h"
#include "receiver/upload_request.h"

struct upload {
	int version;
	int repo_fd; /* owned */
	git_repository *repo;
	git_odb *odb;
	struct refs refs;
	struct oid_list
		roots; /* commits whose parents this repository has not (REPO/shallow) */
	struct pktline_reader reader;
	struct pktline_writer writer;
	struct graph graph;
	struct upload_request request;

	/* the wants, unwrapped: what tags point to, and the tags themselves, trees and blobs */
	struct graph_list want_commits;
	struct oid_list want_objects;
	/* what both sides have */
	struct graph_list have_commits;
	struct oid_list have_objects;
	int64_t oldest_have; /* time of the oldest of have_commits */
	int ready;           /* upload_ready()'s last answer; -1: ask again */
	/* commits that the client has without parents */
	struct graph_list client_shallow;

	bool packing;     /* the response is in its side-band part */
	time_t last_sent; /* CLOCK_MONOTONIC */
};

/* upload_refs.c */

/* What a tag leads to in the end. Returns 1 with *ret_oid and its type, 0 when oid is no tag but is
 * there (with its type), or -ENOENT. */
int upload_peel(struct upload *upload, const git_oid *oid, git_oid *ret_oid,
		int *ret_type);
/* The commit HEAD leads to. Returns 1 or 0. */
int upload_head(struct upload *upload, git_oid *ret_oid);
void upload_advertise_v0(struct upload *upload);
void upload_list_refs(struct upload *upload, const struct upload_ls_refs *ls);
/* The object of the one ref that is meant by `name` in deepen-not. Returns 1 or 0. */
int upload_find_ref(struct upload *upload, const char *name, git_oid *ret_oid);

/* upload_negotiate.c */

/* Begin a new request: forget the one before. */
void upload_request_begin(struct upload *upload);
/* Look at all wants; with `tips_only` each must be the value of a ref. */
int upload_resolve_wants(struct upload *upload, bool tips_only, struct error *err)
	_must_check_;
/* The client has oid. Returns 1 when this side has it too, 0 when not, or -ENOMEM. */
int upload_have(struct upload *upload, const git_oid *oid);
/* Is enough in common to make a good pack? Returns 1, 0 or -ENOMEM. */
int upload_ready(struct upload *upload);

/* upload_shallow.c */

/* Find out where the client's history will end, and tell. Returns 1 when lines were written or could have
 * been (versions 0 and 1 then end them with a flush), 0, or a negative errno value. */
int upload_shallow_lines(struct upload *upload, struct error *err) _must_check_;

/* upload_pack.c */
int upload_send_pack(struct upload *upload, struct error *err) _must_check_;

/* upload_v0.c, upload_v2.c: a whole conversation */
int upload_v0(struct upload *upload, struct error *err) _must_check_;
int upload_v2(struct upload *upload, struct error *err) _must_check_;

#pragma once

/* The command line of hostkit-receive. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum receive_mode {
	RECEIVE_MODE_RECEIVE,     /* git-receive-pack */
	RECEIVE_MODE_UPLOAD,      /* git-upload-pack */
	RECEIVE_MODE_INIT,        /* make the repository */
	RECEIVE_MODE_UPDATE_REF,  /* move one ref */
	RECEIVE_MODE_CONSOLIDATE, /* many packs and objects into one */
	RECEIVE_MODE_HELP,
	RECEIVE_MODE_VERSION,
};

struct receive_options {
	enum receive_mode mode;
	bool standalone;         /* refs move here; no hostkitd */
	const char *project;     /* of a deployment; all strings borrowed from argv */
	const char *branch;      /* the one that deploys */
	uint64_t max_pack_bytes; /* 0: not given */
	uint64_t max_tree_files; /* 0: not given */
	const char *repository;
	const char *ref; /* of RECEIVE_MODE_UPDATE_REF */
	const char *old_hex;
	const char *new_hex;
	int protocol; /* 0, 1 or 2, from GIT_PROTOCOL */
};

/* What --help prints. */
extern const char options_help[];

/*
 * Parse a command line and the value of GIT_PROTOCOL (NULL: none). Returns 0, or -EINVAL with USAGE and
 * what is wrong.
 */
int options_parse(int argc, char *const *argv, const char *git_protocol,
		  struct receive_options *ret_options, struct error *err) _must_check_;

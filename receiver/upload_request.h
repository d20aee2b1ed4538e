#pragma once

/*
 * What a client asks of git-upload-pack, line by line (gitprotocol-pack(5), gitprotocol-v2(5)). Parsing
 * touches no repository.
 */

#include <stdbool.h>
#include <stdint.h>

#include <git2/oid.h>

#include "base/error.h"
#include "receiver/oidlist.h"
#include "receiver/pktline.h"

/* Of each list in one request. */
#define UPLOAD_OIDS_MAX (1024u * 1024)
#define UPLOAD_WORDS_MAX 65536u

struct word_list {
	char **words;
	size_t count, allocated;
};

enum upload_multi_ack {
	UPLOAD_ACK_ONCE,
	UPLOAD_ACK_MULTI,
	UPLOAD_ACK_DETAILED,
};

struct upload_request {
	struct oid_list wants;
	struct oid_list haves;    /* version 2 only */
	struct oid_list shallows; /* what the client has without parents */
	uint32_t depth;           /* 0: not asked for */
	bool depth_relative;
	int64_t since; /* seconds; 0: not asked for */
	struct word_list not_refs;
	bool thin, ofs_delta, no_progress, include_tag, done;
	bool wait_for_done; /* version 2 */
	bool no_done;       /* versions 0 and 1, as the next two */
	enum upload_multi_ack multi_ack;
	size_t band_max; /* bytes of a side-band packet; 0: no side-band */
};

void upload_request_done(struct upload_request *request);
#define _cleanup_upload_request_ _cleanup_(upload_request_done)

/* Is it cut by depth, time or ref? */
static inline bool upload_request_deepens(const struct upload_request *request)
{
	return request->depth > 0 || request->since > 0 || request->not_refs.count > 0;
}

/*
 * One line, chomped and NUL-terminated: of the first part of a request in versions 0 and 1 ("want ...",
 * "shallow ...", "deepen ..."), or an argument of the fetch command in version 2.
 *
 * Returns 0; -EPROTO with git's message; -E2BIG beyond a limit; -ENOMEM.
 */
int upload_request_line_v0(struct upload_request *request, const char *line,
			   struct error *err) _must_check_;
int upload_request_line_v2(struct upload_request *request, const char *line,
			   struct error *err) _must_check_;

/* 40 hexadecimal digits in front of anything else: returns what follows them, NULL if s does not begin so. */
const char *upload_parse_oid(const char *s, git_oid *ret_oid);

/* Append what a client named. Returns 0, -ENOMEM, or -E2BIG with a message beyond UPLOAD_OIDS_MAX. */
int upload_add_oid(struct oid_list *list, const git_oid *oid, struct error *err)
	_must_check_;

/* The head of a version 2 command. */
enum upload_command {
	UPLOAD_COMMAND_NONE,
	UPLOAD_COMMAND_LS_REFS,
	UPLOAD_COMMAND_FETCH,
	UPLOAD_COMMAND_OBJECT_INFO,
};

/* What ls-refs was asked for. */
struct upload_ls_refs {
	bool peel, symrefs, unborn;
	struct word_list prefixes; /* of full names; none: everything */
	bool everything;           /* too many prefixes to be worth looking at */
};

void upload_ls_refs_done(struct upload_ls_refs *ls);
#define _cleanup_upload_ls_refs_ _cleanup_(upload_ls_refs_done)
int upload_ls_refs_line(struct upload_ls_refs *ls, const char *line, struct error *err)
	_must_check_;

/*
 * Read command and capabilities of the next request. UPLOAD_COMMAND_NONE: the client has nothing more to
 * ask. Arguments follow when *ret_arguments is true. Returns 0 or a negative errno value, as above.
 */
int upload_command_read(struct pktline_reader *reader, enum upload_command *ret_command,
			bool *ret_arguments, struct error *err) _must_check_;

/* Append a copy. Returns 0, -ENOMEM, or -E2BIG beyond UPLOAD_WORDS_MAX. */
int word_list_add(struct word_list *list, const char *word) _must_check_;

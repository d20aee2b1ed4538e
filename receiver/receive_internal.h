#pragma once

#include <time.h>

#include "receiver/boundary.h"
#include "receiver/connect.h"
#include "receiver/pack.h"
#include "receiver/push.h"
#include "receiver/receive.h"
#include "receiver/refs.h"

/* One push from the advertisement to the report. */
struct receive {
	const struct receive_options *options;
	struct store store;
	struct refs refs; /* as advertised */
	struct pktline_reader in;
	struct pktline_writer out;
	struct push push;
	struct boundary boundary;
	struct quarantine quarantine;
	struct pack_result pack;
	char *unpack_failure; /* owned: the report's word for it; NULL: "ok" */
	time_t last_sent;     /* of CLOCK_MONOTONIC, for keep-alives */
};

/* Show text to the user: side-band 2, or standard error for a client without. */
void receive_say(struct receive *receive, const char *text);
void receive_sayf(struct receive *receive, const char *fmt, ...) _printf_(2, 3);

/*
 * Refuse what git-check-ref-format(1) would not have, and in a deployment names no file can have or a request cannot
 * carry; returns whether the name is good.
 */
bool receive_judge_name(struct receive *receive, struct push_command *command);

/* Send an empty packet if the client has not heard from us for 5 seconds. */
void receive_keep_alive(struct receive *receive);

/* The first message: refs and capabilities. */
void receive_advertise(struct receive *receive);

/* The last one: what became of the pack and of each command. */
int receive_report(struct receive *receive);

/*
 * Before the ref is moved: note in the repository where history now ends, if it does. Refuses the command when there
 * is no room. The caller holds the store's lock. Returns 0 or a negative errno value.
 */
int receive_keep_boundary(struct receive *receive, struct push_command *command)
	_must_check_;

/*
 * Move the objects out of the quarantine, then the refs, while nobody else moves any; with refs_wait only note what the
 * ref that deploys will need. Refuses commands that fail. Returns 0 or a negative errno value.
 */
int receive_settle(struct receive *receive, bool refs_wait, struct error *err)
	_must_check_;

/* The refs that waited: with --atomic they move when the deployment has succeeded, or not at all. */
int receive_settle_rest(struct receive *receive, struct error *err) _must_check_;

/* Deployment only. */

/*
 * Judge commands and push options before the pack is read; refuses what cannot be. Returns 0, or a
 * negative errno value.
 */
int deploy_judge(struct receive *receive) _must_check_;

/*
 * Judge what the pack brought for the branch that deploys: size of the tree, LFS, submodules; and whether it, or with
 * --atomic any ref, has moved. Returns 0, or a negative errno value.
 */
int deploy_check_content(struct receive *receive) _must_check_;

/*
 * Hand the commands that deploy to hostkitd and show the job's output until it ends (or, detached, begins);
 * refuses those that failed.
 */
int deploy_run(struct receive *receive, struct error *err) _must_check_;

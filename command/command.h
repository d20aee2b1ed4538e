#pragma once

/*
 * One run of one verb: the words, the connection to hostkitd, the answer. Standard output gets the answer,
 * standard error complaints; with --json everything is one envelope on standard output.
 */

#include <stdbool.h>

#include "base/error.h"
#include "command/args.h"
#include "command/reply.h"
#include "protocol/client.h"

struct command {
	struct args args;
	struct client *client; /* NULL until command_client() */
	bool session;          /* over SSH: hostkitd gave us the connection */
	bool terminal;         /* the SSH client asked for one */
	bool json;
	bool told;         /* the complaint stood in what a job printed */
	bool gone;         /* whoever reads standard output has left */
	json_t *data;      /* the answer for --json, owned */
	char *message;     /* one sentence for people and --json, owned, may be NULL */
	struct strbuf out; /* the answer for people */
	int status;        /* exit status that a job chose, 0: decided by the error */
	char *job_code;    /* keeps the code of a job's error alive */
};

void command_done(struct command *command);
#define _cleanup_command_ _cleanup_(command_done)

/* Run words (count of them) and tell how it went. Returns the exit status. */
int command_run(struct command *command, const char *const *words, size_t count);

/*
 * For the verbs.
 */

/* As client_call(), client_do() and client_list() over the connection, which is made when first needed. */
int command_call(struct command *command, enum request op, const struct strbuf *args,
		 struct client_answer *ret_answer, struct error *err) _must_check_;
int command_do(struct command *command, enum request op, const struct strbuf *args,
	       struct error *err) _must_check_;

/*
 * Ask for a list and turn each of its records into a JSON object by get(), which reads one record. Returns 0
 * with *ret_rows, an array owned by the caller, or a negative errno value.
 */
typedef json_t *(*command_row_fn)(struct wire *w);
int command_rows(struct command *command, enum request op, const struct strbuf *args,
		 command_row_fn get, json_t **ret_rows, struct error *err) _must_check_;

/*
 * The project meant: the word at `index` if there is one, checked against the rules for names; else the only
 * one the caller has. Returns 0 with *ret_project owned by the caller; PROJECT_REQUIRED when
 * there are several.
 */
int command_project(struct command *command, size_t index, char **ret_project,
		    struct error *err) _must_check_;

/*
 * The same without the word: the project that the caller is bound to, or NULL for an admin or operator.
 */
int command_bound_project(struct command *command, char **ret_project, struct error *err)
	_must_check_;

/* Give the answer: takes data, also on failure; fails on NULL (no memory). */
int command_answer(struct command *command, json_t *data, struct error *err) _must_check_;

/* Set the sentence that ends the answer. */
void command_say(struct command *command, const char *fmt, ...) _printf_(2, 3);

/*
 * Write to standard output at once, for answers that come bit by bit. Returns 0 or a negative errno value,
 * after which there is nobody to write to.
 */
int command_write(struct command *command, const void *data, size_t size);

/*
 * Wait until fd (-1: none) has something to read, at most timeout_msec (-1: for ever). Returns 1, 0
 * when time is up, or -ECANCELED as soon as nobody reads standard output any more.
 */
int command_wait(struct command *command, int fd, int timeout_msec) _must_check_;

/*
 * Show what a job sends to its viewer until it ends; its failure becomes err and the exit status. The answer
 * is {"job": ID, "exit_status": N}.
 */
int command_watch_job(struct command *command, int viewer_fd, int64_t job,
		      struct error *err) _must_check_;

/* The complaint for a name that is not a release's. Returns -EINVAL. */
int command_check_release(const char *name, struct error *err) _must_check_;

/* Append s to the answer for people, escaped. */
void command_text(struct command *command, const char *s);

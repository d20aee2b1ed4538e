#pragma once

/* What the verbs and the table that names them share. */

#include "command/command.h"

/* help.c */
int verb_help(struct command *command, struct error *err);
/* Answer with the help of a verb, of a noun, or (both NULL) of everything. */
int help_show(struct command *command, const struct verb *verb, const char *noun,
	      struct error *err);

/* identity.c */
int verb_whoami(struct command *command, struct error *err);
int verb_version(struct command *command, struct error *err);
int verb_capabilities(struct command *command, struct error *err);

/* project.c */
int verb_provision(struct command *command, struct error *err);
int verb_project_list(struct command *command, struct error *err);
int verb_project_info(struct command *command, struct error *err);
int verb_project_delete(struct command *command, struct error *err);
int verb_restart(struct command *command, struct error *err);
int verb_status(struct command *command, struct error *err);

/* key.c */
int verb_key_add(struct command *command, struct error *err);
int verb_key_list(struct command *command, struct error *err);
int verb_key_remove(struct command *command, struct error *err);

/* release.c */
int verb_releases(struct command *command, struct error *err);
int verb_rollback(struct command *command, struct error *err);
int verb_jobs(struct command *command, struct error *err);

/* logs.c */
int verb_logs(struct command *command, struct error *err);

/* Set *ret_count from -n, or to `standard`, at most `max`. */
int args_lines(struct command *command, uint64_t standard, uint64_t max,
	       uint64_t *ret_count, struct error *err) _must_check_;

/* Start the job that op asks for and watch it to its end. args are those of the request. */
int command_start_job(struct command *command, enum request op, const struct strbuf *args,
		      struct error *err) _must_check_;

/* env.c */
int verb_env_list(struct command *command, struct error *err);
int verb_env_get(struct command *command, struct error *err);
int verb_env_set(struct command *command, struct error *err);
int verb_env_unset(struct command *command, struct error *err);

#pragma once

/* What the files of the state share. */

#include <sqlite3.h>

#include "hostkitd/state.h"

#define STATE_STATEMENTS_MAX 64

struct state {
	sqlite3 *db;
	/* prepared once each, by the address of their constant text */
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} cache[STATE_STATEMENTS_MAX];
};

/*
 * The statement for a constant text, reset and without bindings; done with statement_done() so that no
 * read transaction stays open. NULL after a failure (err filled).
 */
sqlite3_stmt *statement_get(struct state *state, const char *sql, struct error *err);
void statement_donep(sqlite3_stmt **statement);
#define _cleanup_statement_ _cleanup_(statement_donep)

/* Bind in order: 's' const char *, 'i' int64_t, 'u' uint32_t; a failure shows in the step. */
void statement_bind(sqlite3_stmt *statement, const char *types, ...);

/* 1 a row, 0 done, or negative with err; -EEXIST for a constraint, without err. */
int statement_step(struct state *state, sqlite3_stmt *statement, struct error *err);

/* Get, bind, and run a statement without rows. */
int statement_run(struct state *state, struct error *err, const char *sql,
		  const char *types, ...);

/* A column as fresh text, "" for NULL; NULL only without memory. */
char *statement_text(sqlite3_stmt *statement, int column);

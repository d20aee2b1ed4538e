#pragma once

/*
 * Answers: built once as JSON values, printed as the envelope of --json or as plain aligned text. Foreign
 * bytes come out harmless in both.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define _cleanup_json_ _cleanup_(json_decrefp)

/*
 * An object under construction, which remembers that it failed: put freely, ask once with
 * reply_take().
 */
struct reply_object {
	json_t *json;
	bool failed;
};

/* An empty one. */
struct reply_object reply_object_new(void);
void reply_object_done(struct reply_object *o);
#define _cleanup_reply_object_ _cleanup_(reply_object_done)

/* NULL is null; bytes that are not UTF-8 become \xHH. */
void reply_put_text(struct reply_object *o, const char *key, const char *s);
void reply_put_number(struct reply_object *o, const char *key, int64_t number);
void reply_put_bool(struct reply_object *o, const char *key, bool value);
/* Seconds since 1970 as "2025-02-15T12:00:00Z"; 0 is null. */
void reply_put_time(struct reply_object *o, const char *key, int64_t sec);
/* Takes value, also on failure; NULL marks the object as failed. */
void reply_put_json(struct reply_object *o, const char *key, json_t *value);
/* The finished object, owned by the caller; NULL: no memory. */
json_t *reply_take(struct reply_object *o);

/* A JSON string of size bytes at s, made UTF-8 by force, owned; NULL: no memory. */
json_t *reply_text(const char *s, size_t size);

/* Which members of objects to show, under which name. */
struct reply_column {
	const char *key;
	const char *heading;
	size_t cut; /* show so many bytes of a text at most, 0: all */
};

/* Append rows (an array of objects) as columns under headings; nothing for an empty array. */
void reply_table(struct strbuf *out, const json_t *rows,
		 const struct reply_column *columns, size_t count);
/* Append one object as lines "heading:   value". */
void reply_fields(struct strbuf *out, const json_t *object,
		  const struct reply_column *columns, size_t count);

/*
 * Append the envelope of --json and a newline: always one valid object, also when memory is short. data
 * and message may be NULL.
 */
void reply_success(struct strbuf *out, json_t *data, const char *message,
		   int64_t now_sec);
void reply_failure(struct strbuf *out, const struct error *err, int64_t now_sec);

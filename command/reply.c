#include "command/reply.h"

#include <time.h>

#include "base/escape.h"
#include "base/utf8.h"

#define TIME_SIZE sizeof("-2147483648-01-01T00:00:00Z")

struct reply_object reply_object_new(void)
{
	struct reply_object o = { .json = json_object() };

	o.failed = !o.json;
	return o;
}

void reply_object_done(struct reply_object *o)
{
	json_decref(o->json);
	*o = (struct reply_object){ 0 };
}

json_t *reply_take(struct reply_object *o)
{
	if (o->failed)
		return NULL;
	return TAKE_PTR(o->json);
}

void reply_put_json(struct reply_object *o, const char *key, json_t *value)
{
	/* json_object_set_new() takes value in any case and fails for NULL */
	if (json_object_set_new(o->json, key, value) < 0)
		o->failed = true;
}

json_t *reply_text(const char *s, size_t size)
{
	_cleanup_strbuf_ struct strbuf clean = { 0 };
	json_t *json = json_stringn(s, size);

	if (json)
		return json;

	while (size > 0) {
		size_t n = utf8_next(s, size, NULL);

		if (n == 0)
			strbuf_format(&clean, "\\x%02x", (unsigned char)*s);
		else
			strbuf_append(&clean, s, n);
		n = n ? n : 1;
		s += n;
		size -= n;
	}
	if (strbuf_failed(&clean))
		return NULL;
	return json_stringn(strbuf_get(&clean), clean.size);
}

void reply_put_text(struct reply_object *o, const char *key, const char *s)
{
	reply_put_json(o, key, s ? reply_text(s, strlen(s)) : json_null());
}

void reply_put_number(struct reply_object *o, const char *key, int64_t number)
{
	reply_put_json(o, key, json_integer(number));
}

void reply_put_bool(struct reply_object *o, const char *key, bool value)
{
	reply_put_json(o, key, json_boolean(value));
}

static bool time_format(int64_t sec, char ret_text[TIME_SIZE])
{
	time_t t = (time_t)sec;
	struct tm tm;

	return gmtime_r(&t, &tm) &&
	       strftime(ret_text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void reply_put_time(struct reply_object *o, const char *key, int64_t sec)
{
	char text[TIME_SIZE];

	reply_put_text(o, key, sec > 0 && time_format(sec, text) ? text : NULL);
}

/* One value as text without line ends. */
static void cell_append(struct strbuf *out, const json_t *row,
			const struct reply_column *column)
{
	const json_t *value = json_object_get(row, column->key);
	size_t size = json_string_length(value);

	if (column->cut > 0 && size > column->cut)
		size = column->cut;
	if (size > 0)
		escape_append(out, json_string_value(value), size);
	else if (json_is_integer(value))
		strbuf_format(out, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		strbuf_str(out, json_is_true(value) ? "yes" : "no");
	else
		strbuf_char(out, '-');
}

/* How many columns of a terminal: one for each character, wide ones aside. */
static size_t text_width(const char *s)
{
	size_t width = 0;

	for (; *s; s++)
		if (((unsigned char)*s & 0xc0) != 0x80)
			width++;
	return width;
}

static size_t cell_width(const json_t *row, const struct reply_column *column)
{
	_cleanup_strbuf_ struct strbuf cell = { 0 };

	cell_append(&cell, row, column);
	return text_width(strbuf_get(&cell));
}

static void pad(struct strbuf *out, size_t from, size_t to)
{
	for (; from < to; from++)
		strbuf_char(out, ' ');
}

static size_t column_width(const json_t *rows, const struct reply_column *column)
{
	size_t width = strlen(column->heading), i;
	const json_t *row;

	json_array_foreach(rows, i, row)
	{
		size_t w = cell_width(row, column);

		if (w > width)
			width = w;
	}
	return width;
}

void reply_table(struct strbuf *out, const json_t *rows,
		 const struct reply_column *columns, size_t count)
{
	_cleanup_free_ size_t *widths = calloc(count, sizeof(*widths));
	const json_t *row;
	size_t i;

	if (!widths) {
		out->failed = true;
		return;
	}
	if (json_array_size(rows) == 0)
		return;

	for (size_t c = 0; c < count; c++) {
		/* the last one is not padded, so that no line ends in blanks */
		widths[c] = c + 1 < count ? column_width(rows, &columns[c]) + 2 : 0;
		strbuf_str(out, columns[c].heading);
		pad(out, strlen(columns[c].heading), widths[c]);
	}
	strbuf_char(out, '\n');

	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < count; c++) {
			cell_append(out, row, &columns[c]);
			if (widths[c] > 0)
				pad(out, cell_width(row, &columns[c]), widths[c]);
		}
		strbuf_char(out, '\n');
	}
}

void reply_fields(struct strbuf *out, const json_t *object,
		  const struct reply_column *columns, size_t count)
{
	size_t width = 0;

	for (size_t c = 0; c < count; c++)
		if (strlen(columns[c].heading) > width)
			width = strlen(columns[c].heading);
	for (size_t c = 0; c < count; c++) {
		strbuf_format(out, "%s:", columns[c].heading);
		pad(out, strlen(columns[c].heading) + 1, width + 2);
		cell_append(out, object, &columns[c]);
		strbuf_char(out, '\n');
	}
}

static struct reply_object envelope_new(bool success, int64_t now_sec)
{
	struct reply_object o = reply_object_new();

	reply_put_bool(&o, "success", success);
	reply_put_time(&o, "timestamp", now_sec);
	return o;
}

static void envelope_append(struct strbuf *out, struct reply_object *o)
{
	char *text = NULL;

	if (!o->failed)
		/* ASCII only: nothing in it can act on a terminal */
		text = json_dumps(o->json, JSON_ENSURE_ASCII);
	strbuf_str(out, text ? text
			     : "{\"success\": false, \"timestamp\": null, \"error\": "
			       "{\"code\": \"INTERNAL_ERROR\", \"message\": \"out of "
			       "memory\", \"suggestion\": null}}");
	strbuf_char(out, '\n');
	free(text);
}

void reply_success(struct strbuf *out, json_t *data, const char *message, int64_t now_sec)
{
	_cleanup_reply_object_ struct reply_object o = envelope_new(true, now_sec);

	reply_put_json(&o, "data", data ? json_incref(data) : json_null());
	reply_put_text(&o, "message", message);
	envelope_append(out, &o);
}

void reply_failure(struct strbuf *out, const struct error *err, int64_t now_sec)
{
	_cleanup_reply_object_ struct reply_object o = envelope_new(false, now_sec);
	_cleanup_reply_object_ struct reply_object inner = reply_object_new();

	reply_put_text(&inner, "code", error_code(err));
	reply_put_text(&inner, "message", error_text(err, false));
	reply_put_text(&inner, "suggestion", err->suggestion);
	reply_put_json(&o, "error", reply_take(&inner));
	envelope_append(out, &o);
}

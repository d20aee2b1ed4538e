#include "protocol/record.h"

/* Long enough for every text of a record; hostkitd writes none longer. */
#define RECORD_TEXT_MAX REQUEST_TEXT_MAX

void unit_record_put(struct strbuf *buf, const struct unit_record *r)
{
	wire_put_string(buf, r->active);
	wire_put_string(buf, r->sub);
	wire_put_string(buf, r->result);
	wire_put_u32(buf, r->main_pid);
	wire_put_u32(buf, r->restarts);
	wire_put_u32(buf, r->exit_status);
	wire_put_u64(buf, r->since_usec);
	wire_put_u64(buf, r->memory_bytes);
}

void unit_record_get(struct wire *w, struct unit_record *ret)
{
	*ret = (struct unit_record){ 0 };
	ret->active = wire_string(w, RECORD_TEXT_MAX);
	ret->sub = wire_string(w, RECORD_TEXT_MAX);
	ret->result = wire_string(w, RECORD_TEXT_MAX);
	ret->main_pid = wire_u32(w);
	ret->restarts = wire_u32(w);
	ret->exit_status = wire_u32(w);
	ret->since_usec = wire_u64(w);
	ret->memory_bytes = wire_u64(w);
}

void unit_record_done(struct unit_record *r)
{
	free(r->active);
	free(r->sub);
	free(r->result);
	*r = (struct unit_record){ 0 };
}

void project_record_put(struct strbuf *buf, const struct project_record *r)
{
	wire_put_string(buf, r->name);
	wire_put_u32(buf, r->runtime);
	wire_put_u32(buf, r->port);
	wire_put_string(buf, r->branch);
	wire_put_string(buf, r->release);
	wire_put_string(buf, r->commit);
	wire_put_string(buf, r->url);
	wire_put_i64(buf, r->created_sec);
	wire_put_string(buf, r->created_by);
	unit_record_put(buf, &r->unit);
}

void project_record_get(struct wire *w, struct project_record *ret)
{
	*ret = (struct project_record){ 0 };
	ret->name = wire_string(w, RECORD_TEXT_MAX);
	ret->runtime = wire_u32(w);
	ret->port = wire_u32(w);
	ret->branch = wire_string(w, RECORD_TEXT_MAX);
	ret->release = wire_string(w, RECORD_TEXT_MAX);
	ret->commit = wire_string(w, RECORD_TEXT_MAX);
	ret->url = wire_string(w, RECORD_TEXT_MAX);
	ret->created_sec = wire_i64(w);
	ret->created_by = wire_string(w, RECORD_TEXT_MAX);
	unit_record_get(w, &ret->unit);
}

void project_record_done(struct project_record *r)
{
	free(r->name);
	free(r->branch);
	free(r->release);
	free(r->commit);
	free(r->url);
	free(r->created_by);
	unit_record_done(&r->unit);
	*r = (struct project_record){ 0 };
}

void key_record_put(struct strbuf *buf, const struct key_record *r)
{
	wire_put_string(buf, r->name);
	wire_put_u32(buf, r->role);
	wire_put_string(buf, r->project);
	wire_put_string(buf, r->type);
	wire_put_string(buf, r->fingerprint);
	wire_put_string(buf, r->comment);
	wire_put_i64(buf, r->added_sec);
	wire_put_i64(buf, r->used_sec);
}

void key_record_get(struct wire *w, struct key_record *ret)
{
	*ret = (struct key_record){ 0 };
	ret->name = wire_string(w, RECORD_TEXT_MAX);
	ret->role = wire_u32(w);
	ret->project = wire_string(w, RECORD_TEXT_MAX);
	ret->type = wire_string(w, RECORD_TEXT_MAX);
	ret->fingerprint = wire_string(w, RECORD_TEXT_MAX);
	ret->comment = wire_string(w, RECORD_TEXT_MAX);
	ret->added_sec = wire_i64(w);
	ret->used_sec = wire_i64(w);
}

void key_record_done(struct key_record *r)
{
	free(r->name);
	free(r->project);
	free(r->type);
	free(r->fingerprint);
	free(r->comment);
	*r = (struct key_record){ 0 };
}

void release_record_put(struct strbuf *buf, const struct release_record *r)
{
	wire_put_string(buf, r->name);
	wire_put_u32(buf, r->state);
	wire_put_bool(buf, r->live);
	wire_put_string(buf, r->commit);
	wire_put_string(buf, r->branch);
	wire_put_string(buf, r->by);
	wire_put_i64(buf, r->created_sec);
	wire_put_i64(buf, r->job);
}

void release_record_get(struct wire *w, struct release_record *ret)
{
	*ret = (struct release_record){ 0 };
	ret->name = wire_string(w, RECORD_TEXT_MAX);
	ret->state = wire_u32(w);
	ret->live = wire_bool(w);
	ret->commit = wire_string(w, RECORD_TEXT_MAX);
	ret->branch = wire_string(w, RECORD_TEXT_MAX);
	ret->by = wire_string(w, RECORD_TEXT_MAX);
	ret->created_sec = wire_i64(w);
	ret->job = wire_i64(w);
}

void release_record_done(struct release_record *r)
{
	free(r->name);
	free(r->commit);
	free(r->branch);
	free(r->by);
	*r = (struct release_record){ 0 };
}

void job_record_put(struct strbuf *buf, const struct job_record *r)
{
	wire_put_i64(buf, r->id);
	wire_put_u32(buf, r->kind);
	wire_put_u32(buf, r->state);
	wire_put_string(buf, r->project);
	wire_put_string(buf, r->by);
	wire_put_string(buf, r->step);
	wire_put_string(buf, r->release);
	wire_put_string(buf, r->commit);
	wire_put_u32(buf, r->exit_status);
	wire_put_string(buf, r->message);
	wire_put_i64(buf, r->created_sec);
	wire_put_i64(buf, r->started_sec);
	wire_put_i64(buf, r->ended_sec);
}

void job_record_get(struct wire *w, struct job_record *ret)
{
	*ret = (struct job_record){ 0 };
	ret->id = wire_i64(w);
	ret->kind = wire_u32(w);
	ret->state = wire_u32(w);
	ret->project = wire_string(w, RECORD_TEXT_MAX);
	ret->by = wire_string(w, RECORD_TEXT_MAX);
	ret->step = wire_string(w, RECORD_TEXT_MAX);
	ret->release = wire_string(w, RECORD_TEXT_MAX);
	ret->commit = wire_string(w, RECORD_TEXT_MAX);
	ret->exit_status = wire_u32(w);
	ret->message = wire_string(w, RECORD_TEXT_MAX);
	ret->created_sec = wire_i64(w);
	ret->started_sec = wire_i64(w);
	ret->ended_sec = wire_i64(w);
}

void job_record_done(struct job_record *r)
{
	free(r->project);
	free(r->by);
	free(r->step);
	free(r->release);
	free(r->commit);
	free(r->message);
	*r = (struct job_record){ 0 };
}

void job_details_put(struct strbuf *buf, const struct job_details *r)
{
	wire_put_u32(buf, r->runtime);
	wire_put_u32(buf, r->port);
	wire_put_string(buf, r->branch);
	wire_put_string(buf, r->live_release);
	wire_put_string(buf, r->old_commit);
	wire_put_string(buf, r->target);
	wire_put_string(buf, r->url);
	wire_put_u32(buf, r->push_options);
	wire_put_u32(buf, r->health_timeout_sec);
	wire_put_u64(buf, r->output_max_bytes);
}

void job_details_get(struct wire *w, struct job_details *ret)
{
	*ret = (struct job_details){ 0 };
	ret->runtime = wire_u32(w);
	ret->port = wire_u32(w);
	ret->branch = wire_string(w, RECORD_TEXT_MAX);
	ret->live_release = wire_string(w, RECORD_TEXT_MAX);
	ret->old_commit = wire_string(w, RECORD_TEXT_MAX);
	ret->target = wire_string(w, RECORD_TEXT_MAX);
	ret->url = wire_string(w, RECORD_TEXT_MAX);
	ret->push_options = wire_u32(w);
	ret->health_timeout_sec = wire_u32(w);
	ret->output_max_bytes = wire_u64(w);
}

void job_details_done(struct job_details *r)
{
	free(r->branch);
	free(r->live_release);
	free(r->old_commit);
	free(r->target);
	free(r->url);
	*r = (struct job_details){ 0 };
}

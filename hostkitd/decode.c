#include "hostkitd/decode.h"

#include <string.h>

#include "base/wire.h"
#include "protocol/name.h"

/* One letter a field, in the order they travel. */
enum {
	FIELD_PROJECT = 'p',
	FIELD_RELEASE = 'r',
	FIELD_NAME = 'n',
	FIELD_COMMENT = 'c',
	FIELD_ADDRESS = 'a',
	FIELD_STEP = 's',
	FIELD_REF = 'f',
	FIELD_OLD = 'o',
	FIELD_COMMIT = 'O',
	FIELD_CODE = 'x',
	FIELD_MESSAGE = 'm',
	FIELD_KEY = 'k',
	FIELD_VALUE = 'v',
	FIELD_VALUE2 = 'V',
	FIELD_JOB = 'j',
	FIELD_FD = 'F',
};

#define ANY UINT32_MAX

static const struct {
	const char *fields;
	uint32_t value_max, value2_max; /* greatest allowed */
} shapes[_REQUEST_N] = {
	[REQUEST_AUTH_PROBE] = { "k", 0, 0 },
	[REQUEST_AUTH_KEY] = { "ka", 0, 0 },
	[REQUEST_OPEN_GIT] = { "vpV", _GIT_SERVICE_N - 1, 2 },
	[REQUEST_OPEN_VERB] = { "", 0, 0 },
	[REQUEST_WHOAMI] = { "", 0, 0 },
	[REQUEST_PROJECT_LIST] = { "", 0, 0 },
	[REQUEST_PROJECT_INFO] = { "p", 0, 0 },
	[REQUEST_PROJECT_RESTART] = { "p", 0, 0 },
	[REQUEST_KEY_ADD] = { "nvpkc", _ROLE_N - 1, 0 },
	[REQUEST_KEY_LIST] = { "", 0, 0 },
	[REQUEST_KEY_REMOVE] = { "n", 0, 0 },
	[REQUEST_RELEASE_LIST] = { "p", 0, 0 },
	[REQUEST_JOB_LIST] = { "pv", ANY, 0 },
	[REQUEST_JOB_LOG] = { "j", 0, 0 },
	[REQUEST_LOG_OPEN] = { "pv", _LOG_KIND_N - 1, 0 },
	[REQUEST_ENV_OPEN] = { "pv", _ENV_MODE_N - 1, 0 },
	[REQUEST_START_PROVISION] = { "pv", _RUNTIME_N - 1, 0 },
	[REQUEST_START_DELETE] = { "p", 0, 0 },
	[REQUEST_START_ROLLBACK] = { "pr", 0, 0 },
	[REQUEST_PUSH_ACCEPT] = { "foOv", PUSH_OPTION_DETACH | PUSH_OPTION_NO_CACHE, 0 },
	[REQUEST_JOB_HELLO] = { "j", 0, 0 },
	[REQUEST_JOB_INFO] = { "", 0, 0 },
	[REQUEST_JOB_STEP] = { "sv", _STEP_STATE_N - 1, 0 },
	[REQUEST_JOB_VIEWERS] = { "", 0, 0 },
	[REQUEST_RELEASE_CREATE] = { "", 0, 0 },
	[REQUEST_BUILD_START] = { "rF", 0, 0 },
	[REQUEST_BUILD_ATTACH] = { "", 0, 0 },
	[REQUEST_BUILD_STOP] = { "", 0, 0 },
	[REQUEST_RELEASE_SWITCH] = { "r", 0, 0 },
	[REQUEST_RELEASE_MARK] = { "rv", RELEASE_STATE_FAILED, 0 },
	[REQUEST_RELEASE_DROP] = { "r", 0, 0 },
	[REQUEST_RELEASE_PRUNE] = { "", 0, 0 },
	[REQUEST_REF_UPDATE] = { "", 0, 0 },
	[REQUEST_UNIT_CONTROL] = { "v", _UNIT_ACTION_N - 1, 0 },
	[REQUEST_UNIT_STATE] = { "", 0, 0 },
	[REQUEST_JOB_LOG_OPEN] = { "v", _LOG_KIND_N - 1, 0 },
	[REQUEST_PROVISION_STEP] = { "vV", _PROVISION_STEP_N - 1, _STEP_ACTION_N - 1 },
	[REQUEST_JOB_END] = { "vxm", 254, 0 },
};

_Static_assert(_REQUEST_N <= 64, "used is a bit map of 64");

static const struct {
	enum phase phase;
	bool once;
} entries[_REQUEST_N] = {
#define X(name, phase, once) [REQUEST_##name] = { PHASE_##phase, once },
	REQUEST_TABLE(X)
#undef X
};

enum phase request_phase(uint32_t op)
{
	return entries[op].phase;
}

bool request_is_once(uint32_t op)
{
	return entries[op].once;
}

void request_args_done(struct request_args *args)
{
	free(args->project);
	free(args->release);
	free(args->name);
	free(args->comment);
	free(args->address);
	free(args->step);
	free(args->ref);
	free(args->old_commit);
	free(args->commit);
	free(args->code);
	free(args->message);
	free(args->key);
	fd_close(args->fd);
	*args = (struct request_args){ .fd = -EBADF };
}

static char *decode_oid(struct wire *w)
{
	char *s = wire_string(w, REQUEST_OID_HEX);

	if (s && !name_is_oid(s))
		w->failed = true;
	return s;
}

static void decode_key(struct wire *w, struct request_args *args)
{
	const uint8_t *p = wire_bytes(w, REQUEST_KEY_BLOB_MAX, &args->key_size);

	if (args->key_size == 0) {
		w->failed = true;
		return;
	}
	args->key = malloc(args->key_size);
	if (args->key)
		memcpy(args->key, p, args->key_size);
	else
		w->failed = true;
}

static uint32_t decode_value(struct wire *w, uint32_t max)
{
	uint32_t value = wire_u32(w);

	if (value > max)
		w->failed = true;
	return value;
}

static void decode_field(struct wire *w, char field, struct packet *packet,
			 struct request_args *args)
{
	switch (field) {
	case FIELD_PROJECT:
		args->project = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_RELEASE:
		args->release = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_NAME:
		args->name = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_COMMENT:
		args->comment = wire_string(w, REQUEST_TEXT_MAX);
		break;
	case FIELD_ADDRESS:
		args->address = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_STEP:
		args->step = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_REF:
		args->ref = wire_string(w, REQUEST_REF_MAX);
		break;
	case FIELD_OLD:
		args->old_commit = decode_oid(w);
		break;
	case FIELD_COMMIT:
		args->commit = decode_oid(w);
		break;
	case FIELD_CODE:
		args->code = wire_string(w, REQUEST_NAME_MAX);
		break;
	case FIELD_MESSAGE:
		args->message = wire_string(w, REQUEST_TEXT_MAX);
		break;
	case FIELD_KEY:
		decode_key(w, args);
		break;
	case FIELD_VALUE:
		args->value = decode_value(w, shapes[args->op].value_max);
		break;
	case FIELD_VALUE2:
		args->value2 = decode_value(w, shapes[args->op].value2_max);
		break;
	case FIELD_JOB:
		args->job = wire_i64(w);
		break;
	default:
		if (packet->fd_count == 1)
			args->fd = TAKE_FD(packet->fds[0]);
		break;
	}
}

static int request_check(uint32_t op, enum phase phase, uint64_t used, struct error *err)
{
	if (op >= _REQUEST_N)
		return error_internal(err, -EPROTO, "request %u is unknown", op);
	if (entries[op].phase != phase)
		return error_internal(err, -EPROTO, "request %s not permitted now",
				      request_name(op));
	if (entries[op].once && (used & (1ull << op)))
		return error_internal(err, -EPROTO, "request %s sent twice",
				      request_name(op));
	return 0;
}

int request_decode(struct packet *packet, enum phase phase, uint64_t used,
		   struct request_args *ret_args, struct error *err)
{
	_cleanup_(request_args_done) struct request_args args = { .fd = -EBADF };
	struct wire w = wire_reader(packet->data, packet->size);
	const char *fields;
	bool wants_fd;
	int r;

	args.op = wire_u32(&w);
	args.serial = wire_u32(&w);
	if (w.failed)
		return error_internal(err, -EBADMSG, "request of %zu bytes",
				      packet->size);
	r = request_check(args.op, phase, used, err);
	if (r < 0)
		return r;

	fields = shapes[args.op].fields;
	wants_fd = strchr(fields, FIELD_FD) != NULL;
	if (packet->fd_count != (wants_fd ? 1 : 0))
		return error_internal(err, -EBADMSG, "%s with %zu descriptors",
				      request_name(args.op), packet->fd_count);
	for (const char *f = fields; *f && !w.failed; f++)
		decode_field(&w, *f, packet, &args);
	r = wire_end(&w);
	if (r < 0)
		return error_internal(err, r, "malformed %s", request_name(args.op));

	*ret_args = args;
	args = (struct request_args){ .fd = -EBADF };
	return 0;
}

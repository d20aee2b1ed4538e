#include "protocol/request.h"

#include <stddef.h>

#include "base/macro.h"

static const char *name_of(const char *const *names, size_t count, uint32_t value)
{
	return value < count ? names[value] : NULL;
}

const char *request_name(uint32_t op)
{
	static const char *const names[_REQUEST_N] = {
#define X(name, phase, once) [REQUEST_##name] = #name,
		REQUEST_TABLE(X)
#undef X
	};

	return name_of(names, _REQUEST_N, op);
}

const char *role_name(uint32_t role)
{
	static const char *const names[_ROLE_N] = {
		[ROLE_ADMIN] = "admin",
		[ROLE_OPERATOR] = "operator",
		[ROLE_PROJECT] = "project",
		[ROLE_DEPLOY] = "deploy",
	};

	return name_of(names, _ROLE_N, role);
}

const char *runtime_name(uint32_t runtime)
{
	static const char *const names[_RUNTIME_N] = {
		[RUNTIME_PYTHON] = "python",
		[RUNTIME_NODE] = "node",
		[RUNTIME_NEXTJS] = "nextjs",
		[RUNTIME_STATIC] = "static",
	};

	return name_of(names, _RUNTIME_N, runtime);
}

const char *job_kind_name(uint32_t kind)
{
	static const char *const names[_JOB_KIND_N] = {
		[JOB_KIND_DEPLOY] = "deploy",       [JOB_KIND_ROLLBACK] = "rollback",
		[JOB_KIND_PROVISION] = "provision", [JOB_KIND_DELETE] = "delete",
		[JOB_KIND_RESTART] = "restart",
	};

	return name_of(names, _JOB_KIND_N, kind);
}

const char *job_state_name(uint32_t state)
{
	static const char *const names[_JOB_STATE_N] = {
		[JOB_STATE_WAITING] = "waiting",
		[JOB_STATE_RUNNING] = "running",
		[JOB_STATE_SUCCEEDED] = "succeeded",
		[JOB_STATE_FAILED] = "failed",
		[JOB_STATE_SUPERSEDED] = "superseded",
		[JOB_STATE_CANCELLED] = "cancelled",
	};

	return name_of(names, _JOB_STATE_N, state);
}

const char *release_state_name(uint32_t state)
{
	static const char *const names[_RELEASE_STATE_N] = {
		[RELEASE_STATE_BUILDING] = "building", [RELEASE_STATE_GOOD] = "good",
		[RELEASE_STATE_FAILED] = "failed",     [RELEASE_STATE_GONE] = "gone",
		[RELEASE_STATE_REMOVING] = "removing",
	};

	return name_of(names, _RELEASE_STATE_N, state);
}

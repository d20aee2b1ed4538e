#include "protocol/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

static const char *const status_names[_STATUS_N] = {
	[STATUS_DONE] = "done",
	[STATUS_FAILED] = "failed",
	[STATUS_USAGE] = "usage: nothing was tried",
	[STATUS_DENIED] = "denied, or not found",
	[STATUS_LOCKED] = "locked: another job is at work",
	[STATUS_BUILD] = "the build failed",
	[STATUS_MIGRATION] = "the migration failed",
	[STATUS_HEALTH] = "the release did not become healthy",
	[STATUS_CANCELLED] = "cancelled or superseded",
	[STATUS_PAUSED] = "paused or rate-limited",
};

/* Sorted by code. A code that is not here still works: its errno value decides. */
static const struct status_code codes[] = {
	{ "ACCESS_DENIED", STATUS_DENIED, "this caller may not do that" },
	{ "ALREADY_CURRENT", STATUS_FAILED, "the release is the live one already" },
	{ "BRANCH_MOVED", STATUS_FAILED,
	  "another push moved the branch while this one waited" },
	{ "BUILD_FAILED", STATUS_BUILD, "a build step failed" },
	{ "CANCELLED", STATUS_CANCELLED, "the job was cancelled" },
	{ "COMMAND_NOT_FOUND", STATUS_USAGE, "there is no such verb" },
	{ "CONFIRMATION_REQUIRED", STATUS_USAGE, "--confirm with the name is missing" },
	{ "DAEMON_UNREACHABLE", STATUS_FAILED,
	  "hostkitd does not run or cannot be reached" },
	{ "DISK_FULL", STATUS_FAILED, "there is not enough room on the disk" },
	{ "ENV_BUSY", STATUS_LOCKED, "somebody else changes the environment just now" },
	{ "ENV_INVALID", STATUS_FAILED, "the project's .env is not text" },
	{ "ENV_TOO_LARGE", STATUS_FAILED, "the project's .env is too large" },
	{ "EXEC_LINE_INVALID", STATUS_USAGE, "the command line cannot be read" },
	{ "GIT_COMMAND_INVALID", STATUS_USAGE,
	  "git's command is none that is served, or names no project" },
	{ "HEALTH_CHECK_FAILED", STATUS_HEALTH, "the release did not become healthy" },
	{ "INTERNAL_ERROR", STATUS_FAILED, "the cause is in the journal of the server" },
	{ "INVALID_KEY", STATUS_USAGE, "the name of an environment variable is not one" },
	{ "INVALID_KEY_NAME", STATUS_USAGE, "a key's name breaks the rules" },
	{ "INVALID_OPTIONS", STATUS_USAGE, "the arguments do not fit the verb" },
	{ "INVALID_PROJECT_NAME", STATUS_USAGE, "a project's name breaks the rules" },
	{ "INVALID_PUBLIC_KEY", STATUS_USAGE,
	  "standard input is not one acceptable public key" },
	{ "INVALID_REQUEST", STATUS_FAILED,
	  "the list of changes to an environment is malformed or too long" },
	{ "INVALID_VALUE", STATUS_USAGE,
	  "the value of an environment variable cannot be kept" },
	{ "JOB_LOST", STATUS_FAILED, "a job ended without saying how" },
	{ "JOB_NOT_FOUND", STATUS_DENIED, "no such job, or not for this caller" },
	{ "KEY_EXISTS", STATUS_FAILED, "a key of that name, or that key, is registered" },
	{ "KEY_NOT_FOUND", STATUS_DENIED, "no key has that name" },
	{ "KEY_UNKNOWN", STATUS_DENIED, "the key is not registered" },
	{ "LAST_ADMIN_KEY", STATUS_FAILED,
	  "without this key nobody could log in as admin" },
	{ "NAME_MISMATCH", STATUS_USAGE, "--confirm names another project" },
	{ "NO_PREVIOUS_RELEASE", STATUS_FAILED, "there is no release to go back to" },
	{ "PORTS_EXHAUSTED", STATUS_FAILED, "every port of the range is taken" },
	{ "PORT_TAKEN", STATUS_HEALTH, "another program listens on the project's port" },
	{ "PROJECT_EXISTS", STATUS_FAILED, "a project of that name exists" },
	{ "PROJECT_LOCKED", STATUS_LOCKED, "another job is at work on the project" },
	{ "PROJECT_NOT_FOUND", STATUS_DENIED, "no such project, or not for this caller" },
	{ "PROJECT_REQUIRED", STATUS_USAGE, "the verb must be told which project" },
	{ "RATE_LIMIT_EXCEEDED", STATUS_PAUSED, "too many commands at once" },
	{ "RELEASE_NOT_FOUND", STATUS_DENIED, "the project has no such release" },
	{ "RESERVED_KEY", STATUS_DENIED, "HostKit itself keeps this variable" },
	{ "SERVICE_START_FAILED", STATUS_HEALTH, "the app did not start" },
	{ "SUPERSEDED", STATUS_CANCELLED, "a newer push took the place of this one" },
	{ "VAR_NOT_FOUND", STATUS_FAILED, "the environment has no such variable" },
};

const char *status_name(unsigned int status)
{
	return status < _STATUS_N ? status_names[status] : NULL;
}

const struct status_code *status_codes(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(codes);
	return codes;
}

static int compare_code(const void *a, const void *b)
{
	return strcmp(a, ((const struct status_code *)b)->code);
}

static enum status status_of_number(int number)
{
	switch (-number) {
	case 0:
		return STATUS_DONE;
	case ENOENT:
	case EACCES:
	case EPERM:
		return STATUS_DENIED;
	case EBUSY:
		return STATUS_LOCKED;
	case EINVAL:
		return STATUS_USAGE;
	case ECANCELED:
		return STATUS_CANCELLED;
	default:
		return STATUS_FAILED;
	}
}

enum status status_of_error(const char *code, int number)
{
	const struct status_code *found = NULL;

	if (number == 0)
		return STATUS_DONE;
	/* an internal error has no code; its errno value says nothing about the caller */
	if (!code)
		return STATUS_FAILED;
	found = bsearch(code, codes, ARRAY_SIZE(codes), sizeof(codes[0]), compare_code);
	return found ? found->status : status_of_number(number);
}

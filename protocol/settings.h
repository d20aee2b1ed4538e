#pragma once

/*
 * /etc/hostkit/hostkit.conf: one table has every key with its type, range, default and meaning
 * (settings_keys()); packaging/hostkit.conf shows the same for people, and a test compares the two.
 */

#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/error.h"

#define SETTINGS_PATH "/etc/hostkit/hostkit.conf"

#define SETTINGS_LISTEN_MAX 8

struct settings_address {
	struct sockaddr_storage address;
	socklen_t size;
};

struct settings {
	char *ssh_listen; /* as written; parsed by settings_addresses() */
	char *ssh_user;   /* user names a client may give, separated by blanks */
	uint32_t ssh_login_grace_sec;
	uint32_t ssh_max_connections;
	uint32_t ssh_max_per_source;
	char *domain_apex;
	uint32_t ports_first;
	uint32_t ports_last;
	uint32_t releases_keep;
	uint64_t build_memory_bytes;
	uint32_t build_tasks;
	uint32_t build_cpu_weight;
	uint32_t build_timeout_sec;
	uint32_t build_parallel;
	uint64_t build_output_bytes;
	uint32_t deploy_health_timeout_sec;
	uint64_t limits_pack_bytes;
	uint32_t limits_tree_files;
};

enum settings_type {
	SETTINGS_LISTEN,  /* addresses with ports, separated by blanks */
	SETTINGS_USERS,   /* user names, separated by blanks */
	SETTINGS_HOST,    /* a host name */
	SETTINGS_COUNT,   /* a number */
	SETTINGS_SECONDS, /* a number with s, min or h; alone: seconds */
	SETTINGS_BYTES,   /* a number with K, M, G or T (1024 based); alone: bytes */
	_SETTINGS_TYPE_N,
};

struct settings_key {
	const char *section;
	const char *key;
	enum settings_type type;
	size_t offset;      /* in struct settings */
	uint64_t min, max;  /* of numbers */
	const char *preset; /* the default, as one would write it */
	const char *doc;    /* one sentence */
};

/* The table, *ret_count entries, sections together. */
const struct settings_key *settings_keys(size_t *ret_count);

/*
 * Read the file at path; NULL: SETTINGS_PATH, where a missing file means all defaults. Returns 0 with
 * *ret_settings to be freed, or a negative errno value; a mistake in the file is CONFIG_INVALID with file,
 * line, key and what would be right.
 */
int settings_load(const char *path, struct settings **ret_settings, struct error *err)
	_must_check_;

/* The same from a stream; `name` stands in messages. */
int settings_read(FILE *stream, const char *name, struct settings **ret_settings,
		  struct error *err) _must_check_;

struct settings *settings_free(struct settings *settings);
static inline void settings_freep(struct settings **settings)
{
	*settings = settings_free(*settings);
}

/*
 * Parse "0.0.0.0:2222 [::]:2222" into at most SETTINGS_LISTEN_MAX addresses. Returns their count, or
 * -EINVAL when one is malformed or there are too many or none.
 */
int settings_addresses(const char *text, struct settings_address ret_addresses[])
	_must_check_;

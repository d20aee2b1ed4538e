#pragma once

/* The listener: accepts connections within limits and hands each to a process of its own. */

#include "protocol/settings.h"
#include "sshd/limits.h"

struct listener_options {
	struct settings_address listen[SETTINGS_LISTEN_MAX];
	size_t listen_count;
	struct limits limits;
	const char *users;        /* names a client may give, separated by blanks */
	const char *host_key_dir; /* made if it is missing */
	const char *socket;       /* of hostkitd */
	uint32_t login_grace_sec;
	uint32_t idle_sec;
	uint32_t alive_sec;
	uint32_t channels;
	uint32_t spares; /* connection processes kept ready */
};

/*
 * Bind, make the host keys, tell systemd READY=1 and serve until SIGTERM or SIGINT. Connections that are
 * open then go on by themselves. Returns 0 or a negative errno value.
 */
int listener_run(const struct listener_options *options, struct error *err) _must_check_;

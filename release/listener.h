#pragma once

/* Who listens on a port of this machine. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

/*
 * Find the user whose socket takes connections to 127.0.0.1:port (proc_net(5), both tcp and tcp6). Returns 1
 * with *ret_uid, 0 when nothing listens there, or a negative errno value.
 */
int listener_find(uint16_t port, uid_t *ret_uid) _must_check_;

/*
 * The same in the text of such a table; *rank has how closely what was found so far fits the address (0: nothing
 * found), and is raised with *uid when something fits better.
 */
void listener_scan(const char *table, uint16_t port, int *rank, uid_t *uid);

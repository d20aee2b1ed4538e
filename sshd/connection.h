#pragma once

/* One SSH connection: the process that the listener keeps ready and hands a client to. */

/* Serve the client that comes over HANDOFF_FD, and end. Returns the exit status of the process. */
int connection_main(void);

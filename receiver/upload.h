#pragma once

/* git-upload-pack: what `git clone`, `fetch` and `ls-remote` talk to. */

struct upload_settings {
	const char *repository; /* path of a bare repository */
	int version;            /* of the protocol: 0, 1 or 2 */
	int in_fd, out_fd;      /* the client; borrowed */
};

/*
 * Serve one client until it has what it came for or goes away. SIGPIPE must be ignored. What goes wrong is
 * told to the client and, as git does, on standard error. Returns the exit status of the program.
 */
int upload_run(const struct upload_settings *settings);

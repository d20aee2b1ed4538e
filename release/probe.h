#pragma once

/*
 * hostkit-probe PORT PATH... TIMEOUT_MS: does the app on 127.0.0.1:PORT answer as a healthy one would?
 *
 * The paths are tried in order; all but the last are health pages. One that answers 2xx or 3xx is the
 * verdict "healthy", 5xx the verdict "unhealthy"; any other answer means that the app has no such page, and
 * the next path is tried. The last path is healthy with any HTTP answer below 500. No redirect is followed, no
 * proxy is used, at most PROBE_BODY_MAX bytes of an answer are read, and TIMEOUT_MS is for all paths
 * together.
 *
 * One line goes to standard output: "STATUS URL ELAPSED_MS" of the answer that decided; STATUS is 0 where
 * there was none.
 */

#define PROBE_BODY_MAX 65536u

/* Exit statuses. */
enum {
	PROBE_EXIT_HEALTHY = 0,
	PROBE_EXIT_FAILED =
		1, /* the probe itself could not work; standard error says why */
	PROBE_EXIT_USAGE = 2,
	PROBE_EXIT_UNHEALTHY = 3, /* it answered with an error */
	PROBE_EXIT_REFUSED = 4,   /* nothing listens */
	PROBE_EXIT_SILENT = 5,    /* no whole answer in time */
	PROBE_EXIT_NOT_HTTP = 6,  /* it answered something else, or hung up */
};

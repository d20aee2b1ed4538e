#pragma once

/*
 * The exit status of a process that hostkitd started for somebody else, told by the process itself: hostkitd
 * may have been restarted meanwhile, and then nobody could see how its former child ended.
 */

/* Names the descriptor, in decimal, in the environment of such a process. */
#define EXIT_REPORT_VARIABLE "HOSTKIT_STATUS_FD"

/*
 * Write status (0..255) to the status descriptor of this process, if it has one (protocol/request.h). To be
 * called as the last thing before the end. Returns status.
 */
int exit_report(int status);

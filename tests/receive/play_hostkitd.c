/*
 * hostkitd's part of one push: run the program given with a connection for requests as descriptor 3, answer
 * PUSH_ACCEPT, and play a job. Usage: play_hostkitd SCRIPT LOG PROGRAM ARGUMENTS...
 *
 * SCRIPT: "ok", "fail" (the build fails), "refuse" (the request is), "vanish" (the job dies), "slow" (six
 * seconds of silence, then ok). LOG receives the request's fields.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/packet.h"
#include "base/str.h"
#include "base/wire.h"
#include "protocol/request.h"
#include "protocol/stream.h"

static int send_buffer(int fd, struct strbuf *buf, const int *fds, size_t count)
{
	int r = strbuf_failed(buf) ? -ENOMEM
				   : packet_send(fd, buf->data, buf->size, fds, count);

	strbuf_done(buf);
	return r;
}

static int play_job(int fd, const char *script)
{
	static const char first[] = "-----> Building\n       npm ci\n";
	static const char last[] = "=====> Live\n";
	struct stream_end end = { 0 };
	struct strbuf buf = { 0 };
	int r;

	stream_put_text(&buf, first, strlen(first));
	r = send_buffer(fd, &buf, NULL, 0);
	if (r < 0 || str_equal(script, "vanish"))
		return r;
	if (str_equal(script, "slow"))
		(void)sleep(
			6); /* longer than the silence after which a keep-alive is due */
	if (str_equal(script, "fail")) {
		end = (struct stream_end){ .exit_status = 5,
					   .code = (char *)"BUILD_FAILED",
					   .message = (char *)"npm ci failed",
					   .suggestion = (char *)"read the lines above" };
	} else {
		stream_put_text(&buf, last, strlen(last));
		r = send_buffer(fd, &buf, NULL, 0);
	}
	stream_put_end(&buf, &end);
	return r < 0 ? r : send_buffer(fd, &buf, NULL, 0);
}

/* Write down what was asked; returns the request's serial. */
static uint32_t log_request(struct packet *packet, FILE *log)
{
	struct wire w = wire_reader(packet->data, packet->size);
	uint32_t op = wire_u32(&w), serial = wire_u32(&w);
	_cleanup_free_ char *ref = wire_string(&w, REQUEST_REF_MAX);
	_cleanup_free_ char *old_hex = wire_string(&w, REQUEST_OID_HEX);
	_cleanup_free_ char *new_hex = wire_string(&w, REQUEST_OID_HEX);
	uint32_t options = wire_u32(&w);

	(void)fprintf(log, "%s %s %s %s %u %s\n", request_name(op), ref, old_hex, new_hex,
		      options, wire_end(&w) == 0 ? "whole" : "malformed");
	return serial;
}

static int serve(int fd, const char *script, FILE *log)
{
	_cleanup_packet_ struct packet packet = { 0 };
	struct strbuf buf = { 0 };
	int pair[2], r;

	r = packet_receive(fd, &packet);
	if (r <= 0)
		return r;
	wire_put_u32(&buf, REQUEST_PUSH_ACCEPT);
	wire_put_u32(&buf, log_request(&packet, log));
	if (str_equal(script, "refuse")) {
		wire_put_u32(&buf, (uint32_t)-EBUSY);
		wire_put_string(&buf, "PAUSED");
		wire_put_string(&buf, "deployments are paused");
		wire_put_string(&buf, "ssh hostkit status");
		return send_buffer(fd, &buf, NULL, 0);
	}
	r = packet_pair(pair);
	if (r < 0)
		return r;
	wire_put_u32(&buf, 0);
	wire_put_i64(&buf, 17);
	r = send_buffer(fd, &buf, &pair[1], 1);
	fd_close(pair[1]);
	if (r == 0)
		r = play_job(pair[0], script);
	fd_close(pair[0]);
	return r;
}

int main(int argc, char **argv)
{
	int pair[2], status = 0;
	pid_t pid;
	FILE *log;

	if (argc < 4 || packet_pair(pair) < 0)
		return 2;
	log = fopen(argv[2], "ae");
	if (!log)
		return 2;
	pid = fork();
	if (pid == 0) {
		if (dup2(pair[1], 3) == 3)
			(void)execv(argv[3], argv + 3);
		_exit(127);
	}
	fd_close(pair[1]);
	/* what must hold is judged by what the client and the log show */
	(void)serve(pair[0], argv[1], log);
	(void)fclose(log);
	if (waitpid(pid, &status, 0) < 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

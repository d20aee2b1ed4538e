/*
 * hostkit-probe: one look at an app's health (probe.h). A program of its own because it parses what a
 * project sends, and because nothing else needs an HTTP library.
 */
#include "release/probe.h"

#include <curl/curl.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"

#define PROBE_TIMEOUT_MAX_MS 600000u

struct probe {
	CURL *curl;
	size_t body_bytes;
	char *url; /* of the last request */
	long status;
	long elapsed_ms;
};

/* A body that is long enough has said enough. */
static size_t on_body(_unused_ char *data, size_t size, size_t count, void *userdata)
{
	struct probe *probe = userdata;

	probe->body_bytes += size * count;
	return probe->body_bytes > PROBE_BODY_MAX ? 0 : size * count;
}

static CURLcode prepare(struct probe *probe, uint64_t timeout_ms)
{
	CURLcode c = CURLE_OK;

#define SET(option, value)                                                \
	do {                                                              \
		if (c == CURLE_OK)                                        \
			c = curl_easy_setopt(probe->curl, option, value); \
	} while (0)
	SET(CURLOPT_PROTOCOLS_STR, "http");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_USERAGENT, "hostkit-probe/" HOSTKIT_VERSION);
	SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, probe);
#undef SET
	return c;
}

/* Ask for one path. Returns an exit status, HEALTHY for any HTTP answer. */
static int ask(struct probe *probe, uint64_t port, const char *path, uint64_t timeout_ms)
{
	curl_off_t elapsed_usec = 0;
	CURLcode c;

	free(probe->url);
	probe->url =
		str_format("http://127.0.0.1:%llu%s", (unsigned long long)port, path);
	probe->body_bytes = 0;
	probe->status = 0;
	curl_easy_reset(probe->curl);
	c = probe->url ? prepare(probe, timeout_ms) : CURLE_OUT_OF_MEMORY;
	if (c == CURLE_OK)
		c = curl_easy_setopt(probe->curl, CURLOPT_URL, probe->url);
	if (c != CURLE_OK) {
		log_err("%s", curl_easy_strerror(c));
		return PROBE_EXIT_FAILED;
	}

	c = curl_easy_perform(probe->curl);
	(void)curl_easy_getinfo(probe->curl, CURLINFO_TOTAL_TIME_T, &elapsed_usec);
	probe->elapsed_ms += (long)(elapsed_usec / 1000);
	if (c == CURLE_OK ||
	    (c == CURLE_WRITE_ERROR && probe->body_bytes > PROBE_BODY_MAX)) {
		(void)curl_easy_getinfo(probe->curl, CURLINFO_RESPONSE_CODE,
					&probe->status);
		return PROBE_EXIT_HEALTHY;
	}
	switch ((int)c) {
	case CURLE_COULDNT_CONNECT:
		return PROBE_EXIT_REFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return PROBE_EXIT_SILENT;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_URL_MALFORMAT:
		log_err("%s", curl_easy_strerror(c));
		return PROBE_EXIT_FAILED;
	default:
		return PROBE_EXIT_NOT_HTTP;
	}
}

static int run(struct probe *probe, uint64_t port, char **paths, size_t count,
	       uint64_t timeout_ms)
{
	for (size_t i = 0;; i++) {
		bool last = i + 1 == count;
		uint64_t used = (uint64_t)probe->elapsed_ms;
		int r = used < timeout_ms ? ask(probe, port, paths[i], timeout_ms - used)
					  : PROBE_EXIT_SILENT;

		if (r != PROBE_EXIT_HEALTHY)
			return r;
		if (probe->status >= 500)
			return PROBE_EXIT_UNHEALTHY;
		if (last || (probe->status >= 200 && probe->status < 400))
			return PROBE_EXIT_HEALTHY;
	}
}

static int usage(FILE *out)
{
	fputs("usage: hostkit-probe PORT PATH... TIMEOUT_MS\n"
	      "Asks 127.0.0.1:PORT for the paths in turn and says whether an app is well there.\n",
	      out);
	return out == stdout ? PROBE_EXIT_HEALTHY : PROBE_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct probe probe = { 0 };
	uint64_t port, timeout_ms;
	int r;

	log_setup("hostkit-probe", LOG_INFO);
	if (argc == 2 && str_equal(argv[1], "--version"))
		return printf("hostkit-probe %s\n", HOSTKIT_VERSION) < 0;
	if (argc == 2 && str_equal(argv[1], "--help"))
		return usage(stdout);
	if (argc < 4 || str_to_u64(argv[1], 65535, &port) < 0 || port == 0 ||
	    str_to_u64(argv[argc - 1], PROBE_TIMEOUT_MAX_MS, &timeout_ms) < 0)
		return usage(stderr);
	for (int i = 2; i < argc - 1; i++)
		if (argv[i][0] != '/')
			return usage(stderr);

	probe.curl = curl_easy_init();
	if (!probe.curl) {
		log_err("out of memory");
		return PROBE_EXIT_FAILED;
	}
	r = run(&probe, port, argv + 2, (size_t)argc - 3, timeout_ms);
	if (r != PROBE_EXIT_FAILED)
		printf("%ld %s %ld\n", probe.status, probe.url, probe.elapsed_ms);
	curl_easy_cleanup(probe.curl);
	free(probe.url);
	return fflush(stdout) == 0 ? r : PROBE_EXIT_FAILED;
}

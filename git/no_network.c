/*
 * What stands in for the half of libgit2 that talks to servers, when libgit2 is linked from its archive
 * (git/meson.build says why): TLS, SSH, HTTP and the libraries behind them stay out of programs that read what
 * strangers push. Every function here says that it cannot; HostKit calls none of them, libgit2's own start
 * calls the first four.
 */
#include <stdbool.h>

#define CANNOT (-1)

#define STAND_IN(name, result) \
	int name(void);        \
	int name(void)         \
	{                      \
		return result; \
	}                      \
	struct _stand_in_needs_semicolon_

STAND_IN(git_mbedtls_stream_global_init, 0);
STAND_IN(git_transport_ssh_global_init, 0);
STAND_IN(git_hash_sha256_global_init, 0);
STAND_IN(git_hash_sha256_ctx_cleanup, 0);

/* certificates, transports, addresses */
STAND_IN(git_mbedtls__set_cert_location, CANNOT);
STAND_IN(git_smart_subtransport_http, CANNOT);
STAND_IN(git_smart_subtransport_ssh, CANNOT);
STAND_IN(http_parser_parse_url, CANNOT);
STAND_IN(http_parser_url_init, CANNOT);

/* SHA-256 is mbedTLS's; repositories that use it are refused before (object-format=sha1) */
STAND_IN(git_hash_sha256_ctx_init, CANNOT);
STAND_IN(git_hash_sha256_init, CANNOT);
STAND_IN(git_hash_sha256_update, CANNOT);
STAND_IN(git_hash_sha256_final, CANNOT);

extern bool git_http__expect_continue;
bool git_http__expect_continue;

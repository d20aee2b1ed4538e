/*
 * libssh is linked from its archive (sshd/meson.build says why), and Debian builds it with GSSAPI, which
 * HostKit does not offer. These stand in for libgssapi_krb5 and the five libraries behind it: every call
 * says that the mechanism is unavailable. No request reaches them: sshd/auth.c answers every method but
 * public keys itself.
 *
 * Prototypes are those of RFC 2744 with its opaque types as pointers.
 */

#include <stddef.h>
#include <stdint.h>

#define GSS_UNAVAILABLE (16u << 16) /* GSS_S_UNAVAILABLE, RFC 2744 3.9.1 */

#define REFUSE(name)                    \
	uint32_t name(void);            \
	uint32_t name(void)             \
	{                               \
		return GSS_UNAVAILABLE; \
	}                               \
	struct _refuse_needs_semicolon_

REFUSE(gss_accept_sec_context);
REFUSE(gss_acquire_cred);
REFUSE(gss_add_oid_set_member);
REFUSE(gss_create_empty_oid_set);
REFUSE(gss_display_name);
REFUSE(gss_display_status);
REFUSE(gss_get_mic);
REFUSE(gss_import_name);
REFUSE(gss_indicate_mechs);
REFUSE(gss_init_sec_context);
REFUSE(gss_inquire_cred);
REFUSE(gss_inquire_cred_by_mech);
REFUSE(gss_release_buffer);
REFUSE(gss_release_cred);
REFUSE(gss_release_name);
REFUSE(gss_release_oid_set);
REFUSE(gss_test_oid_set_member);
REFUSE(gss_verify_mic);

extern void *GSS_C_NT_HOSTBASED_SERVICE;
extern void *GSS_C_NT_USER_NAME;
void *GSS_C_NT_HOSTBASED_SERVICE = NULL;
void *GSS_C_NT_USER_NAME = NULL;

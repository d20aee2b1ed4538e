/*
 * The program is linked statically (sshd/meson.build says why). What libssh and OpenSSL would look up with the
 * name services or load at run time belongs to clients and to plug-ins; nothing here ever asks. These answer
 * "there is none" in the place of the C library's, which would want its shared objects at run time.
 */

#include <dlfcn.h>
#include <netdb.h>
#include <pwd.h>

#include "base/macro.h"

void *dlopen(const char *file _unused_, int mode _unused_)
{
	return NULL;
}

int getaddrinfo(const char *name _unused_, const char *service _unused_,
		const struct addrinfo *hints _unused_, struct addrinfo **result)
{
	*result = NULL;
	return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list _unused_)
{
}

struct hostent *gethostbyname(const char *name _unused_)
{
	return NULL;
}

struct passwd *getpwnam(const char *name _unused_)
{
	return NULL;
}

int getpwuid_r(uid_t uid _unused_, struct passwd *entry _unused_, char *buffer _unused_,
	       size_t size _unused_, struct passwd **result)
{
	*result = NULL;
	return 0;
}

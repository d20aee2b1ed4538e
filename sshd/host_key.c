/* Host keys on disk. Runs as hostkit-sshd before any connection exists, and in a process that waits for one. */

#include "sshd/host_key.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"

#define HOST_KEY_RSA_BITS 3072

static const struct {
	const char *name;
	enum ssh_keytypes_e type;
	int bits;
} host_keys[_HOST_KEY_TYPE_N] = {
	[HOST_KEY_ED25519] = { "ssh_host_ed25519_key", SSH_KEYTYPE_ED25519, 0 },
	[HOST_KEY_RSA] = { "ssh_host_rsa_key", SSH_KEYTYPE_RSA, HOST_KEY_RSA_BITS },
};

DEFINE_CLEANUP(ssh_key, ssh_key_free);

static char *host_key_path(const char *path, enum host_key_type type)
{
	return str_format("%s/%s", path, host_keys[type].name);
}

int host_key_load(const char *path, enum host_key_type type, ssh_key *ret_key,
		  struct error *err)
{
	_cleanup_free_ char *file = host_key_path(path, type);
	_cleanup_(ssh_key_freep) ssh_key key = NULL;

	if (!file)
		return error_internal(err, -ENOMEM, "host key");
	if (access(file, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (ssh_pki_import_privkey_file(file, NULL, NULL, NULL, &key) != SSH_OK)
		return error_internal(err, -EINVAL, "host key %s cannot be read", file);
	*ret_key = TAKE_PTR(key);
	return 1;
}

static void log_fingerprint(ssh_key key, const char *file)
{
	_cleanup_free_ char *text = NULL;
	unsigned char *hash = NULL;
	size_t size = 0;

	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) !=
	    SSH_OK)
		return;
	text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
	ssh_clean_pubkey_hash(&hash);
	log_info("host key %s: %s", file, text ? text : "?");
}

/* Returns 1 when a usable file is there, 0 when there is none. */
static int host_key_exists(const char *file, struct error *err)
{
	struct stat st;

	if (lstat(file, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_internal(err, -errno, "host key %s", file);
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return error_internal(err, -EPERM,
				      "host key %s must be a file of mode 0600 that "
				      "belongs to uid %u",
				      file, geteuid());
	return 1;
}

/* Whole or not at all, also after a power cut: a second key would look like somebody else's server. */
static int host_key_write(ssh_key key, const char *path, enum host_key_type type,
			  struct error *err)
{
	_cleanup_close_ int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *name = host_keys[type].name;
	char *text = NULL;
	int r;

	if (dir_fd < 0)
		return error_internal(err, -errno, "open %s", path);
	if (ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text) != SSH_OK)
		return error_internal(err, -EIO, "write host key %s", name);
	r = fs_replace_at(dir_fd, name, 0600, text, strlen(text));
	explicit_bzero(text, strlen(text));
	ssh_string_free_char(text);
	return r < 0 ? error_internal(err, r, "write host key %s/%s", path, name) : 0;
}

static int host_key_make(const char *path, enum host_key_type type, struct error *err)
{
	_cleanup_free_ char *file = host_key_path(path, type);
	_cleanup_(ssh_key_freep) ssh_key key = NULL;
	int r;

	if (!file)
		return error_internal(err, -ENOMEM, "host key");
	r = host_key_exists(file, err);
	if (r < 0)
		return r;
	if (r == 0) {
		if (ssh_pki_generate(host_keys[type].type, host_keys[type].bits, &key) !=
		    SSH_OK)
			return error_internal(err, -EIO, "make host key %s", file);
		/* that took its time: a listener before this one may have been at it too */
		r = host_key_exists(file, err);
		if (r > 0)
			return 0;
		if (r == 0)
			r = host_key_write(key, path, type, err);
	} else {
		r = host_key_load(path, type, &key, err);
		if (r == 0)
			r = error_internal(err, -ENOENT, "host key %s", file);
	}
	if (r < 0)
		return r;
	log_fingerprint(key, file);
	return 0;
}

/*
 * Finding the primes of an RSA key takes seconds on a small machine: too long to be deaf for. The process that
 * does it is nobody's child, so that nobody has to wait for it.
 */
static int host_key_make_aside(const char *path, enum host_key_type type,
			       struct error *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return error_internal(err, -errno, "fork");
	if (pid > 0) {
		int r = process_wait(pid);

		return r != 0 ? error_internal(err, r < 0 ? r : -EIO, "fork") : 0;
	}
	pid = fork();
	if (pid == 0) {
		_cleanup_error_ struct error why = ERROR_INIT;

		/* a listener that starts anew meanwhile must be able to bind the addresses of this one */
		if (close_range(STDERR_FILENO + 1, ~0u, 0) < 0)
			_exit(EXIT_FAILURE);
		if (host_key_make(path, type, &why) < 0)
			log_error(LOG_WARNING, &why, "going on without this host key");
	}
	_exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int host_key_ensure(const char *path, struct error *err)
{
	_cleanup_free_ char *rsa = host_key_path(path, HOST_KEY_RSA);
	mode_t before = umask(077);
	int r = 0;

	if (!rsa)
		r = error_internal(err, -ENOMEM, "host key");
	else if (mkdir(path, 0700) < 0 && errno != EEXIST)
		r = error_internal(err, -errno, "make %s", path);
	if (r >= 0)
		r = host_key_make(path, HOST_KEY_ED25519, err);
	if (r >= 0)
		r = host_key_exists(rsa, err);
	if (r == 0)
		r = host_key_make_aside(path, HOST_KEY_RSA, err);
	else if (r > 0)
		r = host_key_make(path, HOST_KEY_RSA, err);
	(void)umask(before); /* cannot fail */
	return r;
}

/*
 * The sandbox of connection processes. The filter is compiled once, by the listener, because libseccomp
 * leaves more memory behind than a whole connection needs.
 */

#include "sshd/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/landlock.h"

/* The window of uploads (8 MiB) for each of ten channels, twice, and what libssh and OpenSSL need. */
#define SANDBOX_MEMORY_BYTES (256ull * 1024 * 1024)
/* Three descriptors for each channel, the socket, the requests, the log. */
#define SANDBOX_FILES 64
/* The most filter instructions that could be ours. */
#define SANDBOX_FILTER_MAX 4096

/* clang-format off */
static const int allowed[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(futex),
	SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getsockopt), SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg),
	SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(tgkill),
	SCMP_SYS(time), SCMP_SYS(write), SCMP_SYS(writev),
#if ADDRESS_SANITIZER
	SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(rt_sigaction), SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
#endif
};

/* Libraries try these and can do without; everything that is in neither list ends the process. */
static const int refused[] = {
	SCMP_SYS(access), SCMP_SYS(fstat), SCMP_SYS(getegid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getuid), SCMP_SYS(ioctl), SCMP_SYS(lseek),
	SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(prctl),
	SCMP_SYS(prlimit64), SCMP_SYS(readlink), SCMP_SYS(socket), SCMP_SYS(stat),
	SCMP_SYS(statx), SCMP_SYS(sysinfo), SCMP_SYS(uname),
};
/* clang-format on */

static int filter_rules(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(allowed); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(refused); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (ADDRESS_SANITIZER)
		return r;
	/* memory, but never memory that can be executed */
	if (r >= 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r >= 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

int sandbox_filter(int *ret_filter_fd, struct error *err)
{
	_cleanup_close_ int fd = -EBADF;
	scmp_filter_ctx ctx;
	int r;

	fd = memfd_create("sandbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return error_internal(err, -errno, "memfd for the sandbox");
	ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!ctx)
		return error_internal(err, -ENOMEM, "seccomp filter");
	r = filter_rules(ctx);
	if (r >= 0)
		r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	if (r >= 0 && fcntl(fd, F_ADD_SEALS,
			    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return error_internal(err, r, "seccomp filter");
	*ret_filter_fd = TAKE_FD(fd);
	return 0;
}

static int set_limit(int resource, rlim_t value)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	return setrlimit((__rlimit_resource_t)resource, &limit) < 0 ? -errno : 0;
}

static int set_limits(void)
{
	int r = set_limit(RLIMIT_CORE, 0);

	if (r >= 0)
		r = set_limit(RLIMIT_NOFILE, SANDBOX_FILES);
	if (r >= 0)
		r = set_limit(RLIMIT_NPROC, 0);
	/* the shadow memory of AddressSanitizer alone is terabytes */
	if (r >= 0 && !ADDRESS_SANITIZER)
		r = set_limit(RLIMIT_AS, SANDBOX_MEMORY_BYTES);
	return r;
}

/* No file at all by name, whatever the filter may have overlooked. */
static int forbid_files(void)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };
	int r = landlock_init(&landlock);

	return r < 0 ? r : landlock_enter(&landlock);
}

static int install_filter(int filter_fd)
{
	_cleanup_free_ struct sock_filter *filter =
		calloc(SANDBOX_FILTER_MAX, sizeof(*filter));
	struct sock_fprog program;
	ssize_t n;

	if (!filter)
		return -ENOMEM;
	/* by position: the descriptor's own offset is shared with every other process */
	n = pread(filter_fd, filter, SANDBOX_FILTER_MAX * sizeof(*filter), 0);
	if (n < 0)
		return -errno;
	if (n == 0 || (size_t)n % sizeof(*filter) != 0)
		return -EINVAL;
	program = (struct sock_fprog){
		.len = (unsigned short)((size_t)n / sizeof(*filter)),
		.filter = filter,
	};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

int sandbox_enter(int filter_fd, struct error *err)
{
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_internal(err, -errno, "set process limits");
	r = set_limits();
	if (r < 0)
		return error_internal(err, r, "set resource limits");
	r = forbid_files();
	if (r < 0)
		return error_internal(err, r, "forbid files");
	r = install_filter(filter_fd);
	return r < 0 ? error_internal(err, r, "install the seccomp filter") : 0;
}

int sandbox_drop_capabilities(struct error *err)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0)
		return error_internal(err, -errno, "drop capabilities");
	return 0;
}

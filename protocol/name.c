#include "protocol/name.h"

#include "base/escape.h"
#include "base/str.h"

#define PROJECT_NAME_MIN 3
#define PROJECT_NAME_MAX 32

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Users of Debian and its services, hosts of the platform, words of our own paths and units. */
static const char *const reserved_names[] = {
	"adm",       "admin",      "ai-operator", "all",     "api",           "apt",
	"audio",     "auth",       "avahi",       "backup",  "bin",           "booking",
	"build",     "caddy",      "cdrom",       "certbot", "chatbot",       "colord",
	"crontab",   "daemon",     "dbus",        "default", "demo-operator", "dialout",
	"dip",       "disk",       "dns",         "docker",  "fax",           "floppy",
	"ftp",       "games",      "git",         "gnats",   "health",        "home",
	"host",      "hostkit",    "hostkitd",    "imap",    "input",         "irc",
	"job",       "jobs",       "kmem",        "kvm",     "landscape",     "list",
	"localhost", "log",        "lp",          "lxd",     "mail",          "man",
	"master",    "messagebus", "metrics",     "minio",   "mx1",           "mx2",
	"mysql",     "netdev",     "news",        "next",    "nginx",         "nobody",
	"nogroup",   "nobody4",    "ns1",         "ns2",     "ntp",           "oauth",
	"operator",  "payment",    "payments",    "plugdev", "polkitd",       "pop",
	"postfix",   "postgres",   "power",       "proxy",   "redis",         "release",
	"render",    "root",       "rtkit",       "saned",   "secrets",       "sgx",
	"shadow",    "shared",     "sms",         "smtp",    "src",           "ssh",
	"sshd",      "ssl-cert",   "staff",       "static",  "status",        "storage",
	"sudo",      "sync",       "sys",         "syslog",  "systemd",       "tape",
	"tcpdump",   "tss",        "tty",         "ubuntu",  "users",         "utmp",
	"uucp",      "uuidd",      "vector",      "video",   "voice",         "whoopsie",
	"wildcard",  "www",        "www-data",    "worker",  "wheel",
};

/* "shop-auth" would own the unit and the database role of shop's authentication service. */
static const char *const reserved_suffixes[] = {
	"-auth",    "-beat", "-booking", "-build",   "-chatbot",  "-cron",    "-dev",
	"-job",     "-mail", "-next",    "-payment", "-payments", "-preview", "-sandbox",
	"-secrets", "-sms",  "-staging", "-storage", "-vector",   "-voice",   "-worker",
};

static const char *const reserved_prefixes[] = { "hostkit-", "operator-", "systemd-" };

static const char *project_name_shape_fault(const char *name)
{
	size_t n = strlen(name);

	if (n < PROJECT_NAME_MIN || n > PROJECT_NAME_MAX)
		return "it must have 3 to 32 characters";
	for (const char *p = name; *p; p++)
		if (!is_lower(*p) && !is_digit(*p) && *p != '-')
			return "only lower-case letters, digits and hyphens are allowed";
	if (!is_lower(name[0]))
		return "it must begin with a letter";
	if (name[n - 1] == '-')
		return "it must end with a letter or a digit";
	if (strstr(name, "--"))
		return "two hyphens in a row are not allowed";
	return NULL;
}

static const char *project_name_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved_names); i++)
		if (str_equal(name, reserved_names[i]))
			return "it is reserved for the system";
	for (size_t i = 0; i < ARRAY_SIZE(reserved_prefixes); i++)
		if (str_after_prefix(name, reserved_prefixes[i]))
			return "its beginning is reserved for the system";
	for (size_t i = 0; i < ARRAY_SIZE(reserved_suffixes); i++)
		if (str_has_suffix(name, reserved_suffixes[i]))
			return "its ending is reserved for the services of a project";
	/* shop-worker-mails, shop-cron-nightly: units of the project shop */
	if (strstr(name, "-worker-") || strstr(name, "-cron-") ||
	    strstr(name, "-sandbox-"))
		return "it would collide with a unit of another project";
	return NULL;
}

int name_check_project(const char *name, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(name, 64);
	const char *fault = project_name_shape_fault(name);

	if (!fault)
		fault = project_name_reserved(name);
	if (!fault)
		return 0;

	error_user(err, -EINVAL, "INVALID_PROJECT_NAME",
		   "'%s' cannot be a project's name: %s", shown ? shown : "?", fault);
	error_suggest(err, "choose a name such as 'shop' or 'my-app2'");
	return -EINVAL;
}

int name_check_key(const char *name, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(name, 64);
	size_t n = strlen(name);
	bool good = n >= 1 && n <= 64 && is_alnum(name[0]);

	for (const char *p = name; good && *p; p++)
		good = is_alnum(*p) || strchr("._@-", *p);
	if (good)
		return 0;

	error_user(err, -EINVAL, "INVALID_KEY_NAME", "'%s' cannot be a key's name",
		   shown ? shown : "?");
	error_suggest(err,
		      "use letters, digits and . _ @ -, such as 'laptop' or 'ci@shop'");
	return -EINVAL;
}

bool name_is_release(const char *name)
{
	static const char shape[] = "dddddddd-dddddd";

	if (strlen(name) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == 'd' ? !is_digit(name[i]) : name[i] != shape[i])
			return false;
	return true;
}

bool name_is_oid(const char *name)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n == 40 && name[n] == '\0';
}

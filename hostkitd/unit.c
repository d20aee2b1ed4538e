#include "hostkitd/unit.h"

/*
 * Everything inside double quotes: specifiers are doubled, bytes that mean something to systemd's reader
 * are written in hexadecimal. Bytes above 0x7f stay: systemd wants UTF-8.
 */
void unit_escape(struct strbuf *buf, const char *s, bool exec)
{
	strbuf_char(buf, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '%')
			strbuf_str(buf, "%%");
		else if (c == '$' && exec)
			strbuf_str(buf, "$$");
		else if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '\'')
			strbuf_format(buf, "\\x%02x", c);
		else
			strbuf_char(buf, *s);
	}
	strbuf_char(buf, '"');
}

char *unit_name(const char *project)
{
	return str_format("hostkit-%s.service", project);
}

bool unit_is_wanted(uint32_t runtime)
{
	return runtime != RUNTIME_STATIC;
}

/* hostkit-run reads .env as the project's user; EnvironmentFile= would read it as root (home/run.c). */
static void put_start(struct strbuf *text, const struct project *p, const char *home)
{
	_cleanup_free_ char *script = str_format("%s/app/index.js", home);
	_cleanup_free_ char *python = str_format("%s/venv/bin/python", home);

	if (!script || !python) {
		text->failed = true;
		return;
	}
	strbuf_str(text, "ExecStart=" HOSTKIT_LIBEXEC_DIR "/hostkit-run ");
	unit_escape(text, home, true);
	strbuf_char(text, ' ');
	switch ((enum runtime)p->runtime) {
	case RUNTIME_PYTHON:
		unit_escape(text, python, true);
		strbuf_str(text, " -m app");
		break;
	case RUNTIME_NODE:
		strbuf_str(text, "/usr/bin/node ");
		unit_escape(text, script, true);
		break;
	case RUNTIME_NEXTJS:
		strbuf_str(text, "/usr/bin/npm start");
		break;
	case RUNTIME_STATIC:
	case _RUNTIME_N:
		strbuf_str(text, "/bin/true");
		break;
	}
	strbuf_char(text, '\n');
}

int unit_text(const struct project *p, struct strbuf *ret_text)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	_cleanup_free_ char *home = str_format("/home/%s", p->name);

	if (!home)
		return -ENOMEM;
	strbuf_format(&text,
		      "# Written by HostKit; changes are lost.\n"
		      "[Unit]\n"
		      "Description=HostKit Project: %s\n"
		      "After=network.target\n"
		      "StartLimitIntervalSec=300\n"
		      "StartLimitBurst=30\n"
		      "\n"
		      "[Service]\n"
		      "Type=simple\n"
		      "User=%s\n"
		      "Group=%s\n"
		      "WorkingDirectory=%s%s\n",
		      p->name, p->name, p->name, home,
		      p->runtime == RUNTIME_PYTHON ? "" : "/app");
	put_start(&text, p, home);
	strbuf_format(&text,
		      "Restart=always\n"
		      "RestartSec=5\n"
		      "StandardOutput=append:/var/log/projects/%s/app.log\n"
		      "StandardError=append:/var/log/projects/%s/error.log\n"
		      "\n"
		      "NoNewPrivileges=yes\n"
		      "PrivateTmp=yes\n"
		      "PrivateDevices=yes\n"
		      "ProtectSystem=strict\n"
		      "ReadWritePaths=%s\n"
		      "ProtectKernelTunables=yes\n"
		      "ProtectKernelModules=yes\n"
		      "ProtectControlGroups=yes\n"
		      "\n"
		      "[Install]\n"
		      "WantedBy=multi-user.target\n",
		      p->name, p->name, home);
	if (strbuf_failed(&text))
		return -ENOMEM;
	*ret_text = text;
	text = (struct strbuf){ 0 };
	return 0;
}

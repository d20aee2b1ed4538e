#pragma once

/* A project's site in nginx. */

#include "base/error.h"
#include "base/str.h"
#include "hostkitd/internal.h"

/*
 * Append s as one word of an nginx configuration: in double quotes, with what means something there
 * escaped. '$' cannot be escaped in nginx, so a text with one, or with a control character, fails the buffer.
 */
void site_escape(struct strbuf *buf, const char *s);

/* The whole text of a project's site. Returns 0 or -ENOMEM. */
int site_text(const struct project *project, const char *apex, struct strbuf *ret_text)
	_must_check_;

extern const task_step site_check_steps[];
extern const task_step site_do_steps[];
/* Parts of undoing, for the lists that undo more. */
int site_remove(struct task *task, struct error *err);
int site_reload(struct task *task, struct error *err);

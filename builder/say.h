#pragma once

/* What the build says to the person who pushed: whole lines, written at once, escaped by the caller. */

#include "base/error.h"

/* "-----> ..." on standard output: what is being done. */
void say_step(const char *fmt, ...) _printf_(1, 2);
/* Seven blanks and a detail, on standard output. */
void say_detail(const char *fmt, ...) _printf_(1, 2);
/* " !     ..." on standard error: trouble, or something to look at. */
void say_trouble(const char *fmt, ...) _printf_(1, 2);
/* The whole error: each line of its message and of its suggestion as trouble. */
void say_error(const struct error *err);

#pragma once

/* What every cmocka test includes, in the order cmocka wants it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fail with the name of the case, for tables of cases. */
#define check_case(what, condition)                                           \
	do {                                                                  \
		if (!(condition))                                             \
			fail_msg("%s: %s does not hold", (what), #condition); \
	} while (0)

#pragma once

/*
 * A fuzz target is one file fuzz_<parser>.c that defines the function below. Built with
 * -Dlibfuzzer=true (clang) it is a libFuzzer program; otherwise driver.c runs it over its corpus.
 */

#include <stddef.h>
#include <stdint.h>

/* Feed size bytes to the parser. Returns 0; what is wrong shows as a crash or a sanitizer's report. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

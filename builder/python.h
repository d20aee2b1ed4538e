#pragma once

/* What a Python app's files say about its dependencies: pure decisions, no program is run here. */

#include <stdbool.h>
#include <stddef.h>

/* Does a requirements.txt of size bytes ask for anything but comments and blank lines? */
bool python_requires(const char *data, size_t size);

/* Does a pyproject.toml describe a package, rather than hold the settings of some tools only? */
bool python_is_package(const char *data, size_t size);

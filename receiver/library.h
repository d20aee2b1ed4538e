#pragma once

/* Starting libgit2 the way every program of this folder needs it. */

#include "base/error.h"

/*
 * Start it: no configuration but the repository's, what it writes is flushed to the disk, modest windows into
 * packs. After sandbox_enter(), because with the certificates out of sight it starts much quicker.
 */
int library_start(struct error *err) _must_check_;

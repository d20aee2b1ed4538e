#pragma once

/* Provisioning, root's side: what each enum provision_step checks, does and undoes. */

#include "hostkitd/internal.h"

/* The steps of a task for one request; never NULL. */
const task_step *provision_steps(enum provision_step step, enum step_action action);

/* Everything undone, in reverse, down to the row. */
const task_step *provision_undo_all(void);

#pragma once

/* Units, by way of systemd's bus interface (org.freedesktop.systemd1(5)). Everything that takes time is asynchronous. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "protocol/record.h"

struct systemd;

/* result: 0, or negative with err. */
typedef void (*systemd_fn)(void *userdata, int result, struct error *err);
/* status: exit status of the main process, 128 + N for a signal, or one of those below. */
typedef void (*systemd_end_fn)(void *userdata, int status);

#define SYSTEMD_STATUS_TIMEOUT 124 /* RuntimeMaxSec was over, as timeout(1) has it */
#define SYSTEMD_STATUS_UNKNOWN 255 /* systemd could not be asked */

/* Connect to process 1; everything below is answered by the loop of `event`. */
int systemd_open(sd_event *event, struct systemd **ret_systemd, struct error *err)
	_must_check_;
struct systemd *systemd_close(struct systemd *systemd);

/*
 * Call "StartUnit", "RestartUnit", "StopUnit" or "ReloadUnit" and wait until systemd has finished, however
 * long that takes. fn is called exactly once if this returns 0, also when systemd makes one of several calls
 * for the unit, or drops the call for one that contradicts it (a failure).
 */
int systemd_unit_job(struct systemd *systemd, const char *method, const char *unit,
		     systemd_fn fn, void *userdata, struct error *err) _must_check_;
/* "Reload": read the unit files again. */
int systemd_reload(struct systemd *systemd, systemd_fn fn, void *userdata,
		   struct error *err) _must_check_;
int systemd_enable(struct systemd *systemd, const char *unit, bool enable, systemd_fn fn,
		   void *userdata, struct error *err) _must_check_;
/* Forget that it failed, and how often it was started; nobody waits. */
void systemd_reset_failed(struct systemd *systemd, const char *unit);

/*
 * Start a transient service: the caller appends "(sv)" properties to the message of
 * systemd_transient_new(), which is taken by systemd_transient_start(). fn is called once it runs or has
 * failed to start; after a success `end` is called when it has ended.
 */
int systemd_transient_new(struct systemd *systemd, const char *unit,
			  sd_bus_message **ret_message, struct error *err) _must_check_;
struct systemd_start {
	const char *unit;
	systemd_fn fn;
	systemd_end_fn end;
	void *userdata;
};
int systemd_transient_start(struct systemd *systemd, sd_bus_message *message,
			    const struct systemd_start *start, struct error *err)
	_must_check_;
/*
 * Watch a unit that may run: calls end when it has ended. Returns 1 watched, 0 it does not run (end is
 * not called), or negative.
 */
int systemd_watch(struct systemd *systemd, const char *unit, systemd_end_fn end,
		  void *userdata, struct error *err) _must_check_;

/*
 * What systemd says about a unit now. A unit it does not know is "inactive"; a failure says nothing about
 * the unit. These stand still until systemd answers, at most five seconds for each property.
 */
int systemd_unit_record(struct systemd *systemd, const char *unit,
			struct unit_record *ret_record, struct error *err) _must_check_;
/* Is it active or on its way there (1) or not (0)? */
int systemd_is_active(struct systemd *systemd, const char *unit, struct error *err)
	_must_check_;
/*
 * How a unit ended that is not watched: its status if it failed and systemd still knows, 0 if systemd has
 * forgotten it, which it does with what ended well, SYSTEMD_STATUS_UNKNOWN if systemd cannot be asked.
 */
int systemd_last_status(struct systemd *systemd, const char *unit);

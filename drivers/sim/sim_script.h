/* A script of faults:
 *
 *     - { at: 5s, for: 10s, device: well-017, fault: late, delay: 800ms }
 *     - { at: 20s, line: plc, fault: exception, code: 2, every: 3 }
 *     - { at: 30s, for: 5s, line: rs485-1, fault: drop-link }
 *     - { for: 5s, repeat: 10s, device: well-018, fault: mute }
 *     - { device: well-019, fault: hole, address: 5, count: 2, silent: true }
 *
 * at: since the simulator was ready or re-read the script (default 0s); for: until the end when
 * left out; repeat: begins anew so often, from `at` on; line or device: one of them; delay: of
 * `late`, default the line's timeout + 200ms; code: of `exception`, default 4; address, count (1):
 * of `hole`, registers on the wire that the device's unit (of `line`: every unit) does not have,
 * whatever the function: a request that touches one gets exception 2, with silent: true no answer;
 * every: only each Nth request. The first entry that strikes counts.
 *
 * Faults: mute, late, garbled, exception, wrong-unit, short, noise, foreign, twin, hole, drop-link
 * (sim_fault.h says what each one does). */
#ifndef LIFELINE_SIM_SCRIPT_H
#define LIFELINE_SIM_SCRIPT_H

#include "config/field.h"
#include "config/settings.h"
#include "drivers/sim/sim_fault.h"

/* One entry of the script. */
extern const struct section SIM_SCRIPT_FAULT;

/* False when anything is wrong, all of it in `diagnostics`; then *out is as it was. What *out holds
 * afterwards is freed with sim_script_free(). */
bool sim_script_load(const char *path, const struct settings *settings, struct sim_faults *out,
                     struct diagnostics *diagnostics) __attribute__((warn_unused_result));
void sim_script_free(struct sim_faults *faults);

#endif

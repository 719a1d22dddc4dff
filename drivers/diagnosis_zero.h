/* Where a tilt sensor was mounted. Only for drivers/diagnosis*.c.
 *
 * Sensors are mounted flat, or not. One that has ever read flat (every axis nearer to the sensor's
 * own zero than the least level) was mounted flat: its own zero counts from the first sample, and
 * the position in which it then lies still for an hour, a degree or two off, takes its place. One
 * that never read flat was mounted aslant: nothing is known of it until it has lain still for an
 * hour; that position is its zero then. What is found stays, over restarts too: a cover that lies
 * open for days does not become a closed one. To take it anew: rule off, reload, on, reload. */
#ifndef LIFELINE_DIAGNOSIS_ZERO_H
#define LIFELINE_DIAGNOSIS_ZERO_H

#include "drivers/diagnosis.h"
#include "drivers/diagnosis_bytes.h"

struct diagnosis_zero {
    bool found, was_flat;
    uint8_t axes;
    uint32_t samples; /* at `place` */
    mono_time since;
    double place[RULE_ROLE_POINTS_MAX], zero[RULE_ROLE_POINTS_MAX];
};

/* A sample of one of the axes. flat: degrees. */
void diagnosis_zero_hear(struct diagnosis_zero *zero, const struct diagnosis_role_inputs *axes,
                         double flat, mono_time now);

/* The angle of one axis from its zero; false when it is not known. */
bool diagnosis_zero_turn(const struct diagnosis_zero *zero,
                         const struct diagnosis_role_inputs *axes, size_t axis, double *degrees);

/* The largest of the axes that this call brings a sample of. The axes of one answer come one after
 * the other: what the others say may be of the answer before. */
bool diagnosis_zero_heard(const struct diagnosis_zero *zero,
                          const struct diagnosis_role_inputs *axes, double *degrees);

/* The largest of all; false when none is known. */
bool diagnosis_zero_tilt(const struct diagnosis_zero *zero,
                         const struct diagnosis_role_inputs *axes, double *degrees);

void diagnosis_zero_put(const struct diagnosis_zero *zero, struct diagnosis_bytes *bytes);

/* Has failed when it is of another number of axes. */
void diagnosis_zero_get(struct diagnosis_zero *zero, size_t axes, struct diagnosis_bytes *bytes);

#endif

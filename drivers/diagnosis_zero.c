/* The position that tilts are measured from.
 *
 * Called on the thread of the watch; owns nothing. Learns once and then keeps it: a zero that
 * follows would hide a cover that is moved slowly, or twice. Never allocates. */
#include "drivers/diagnosis_zero.h"

#include "drivers/diagnosis_parts.h"

/* Still: within a tenth of what counts as flat. */
enum { STILL_MS = 3600 * 1000, STILL_SAMPLES = 5, STILL_PART = 10 };

static double turned(double from, double to)
{
    double angle = fabs(fmod(to - from, 360));
    return angle > 180 ? 360 - angle : angle;
}

static bool has_value(const struct diagnosis_input *input)
{
    return input->ever && isfinite(input->value);
}

static bool are_all_within(const struct diagnosis_role_inputs *axes, const double *from,
                           double degrees)
{
    for (size_t i = 0; i < axes->count; i++) {
        if (has_value(&axes->inputs[i]) && !(turned(from[i], axes->inputs[i].value) < degrees))
            return false;
    }
    return true;
}

/* Each axis has answered, if only that it is broken: one that is does not blind the others. */
static bool have_all_answered(const struct diagnosis_role_inputs *axes)
{
    bool has_one = false;
    for (size_t i = 0; i < axes->count; i++) {
        const struct diagnosis_input *input = &axes->inputs[i];
        if (!input->ever && !input->failed.ns)
            return false;
        has_one |= has_value(input);
    }
    return has_one && axes->count <= RULE_ROLE_POINTS_MAX;
}

static void stay(struct diagnosis_zero *zero, const struct diagnosis_role_inputs *axes,
                 double degrees, mono_time now)
{
    if (zero->samples > 0 && zero->axes == axes->count &&
        are_all_within(axes, zero->place, degrees)) {
        zero->samples++;
        return;
    }
    for (size_t i = 0; i < axes->count; i++)
        zero->place[i] = has_value(&axes->inputs[i]) ? axes->inputs[i].value : 0;
    zero->axes = (uint8_t)axes->count;
    zero->samples = 1;
    zero->since = now;
}

void diagnosis_zero_hear(struct diagnosis_zero *zero, const struct diagnosis_role_inputs *axes,
                         double flat, mono_time now)
{
    static const double own[RULE_ROLE_POINTS_MAX];
    if (zero->found || !have_all_answered(axes))
        return;
    bool is_flat = are_all_within(axes, own, flat);
    zero->was_flat |= is_flat;
    stay(zero, axes, flat / STILL_PART, now);
    if (clock_ms_between(zero->since, now) < STILL_MS ||
        zero->samples < STILL_SAMPLES * zero->axes || (zero->was_flat && !is_flat))
        return;
    zero->found = true;
    for (size_t i = 0; i < axes->count; i++)
        zero->zero[i] = zero->place[i];
}

bool diagnosis_zero_turn(const struct diagnosis_zero *zero,
                         const struct diagnosis_role_inputs *axes, size_t axis, double *degrees)
{
    if (axis >= RULE_ROLE_POINTS_MAX || !has_value(&axes->inputs[axis]) ||
        (!zero->found && !zero->was_flat))
        return false;
    *degrees = turned(zero->zero[axis], axes->inputs[axis].value);
    return true;
}

static bool largest(const struct diagnosis_zero *zero, const struct diagnosis_role_inputs *axes,
                    bool heard, double *degrees)
{
    bool has_one = false;
    double angle;
    *degrees = 0;
    for (size_t i = 0; i < axes->count; i++) {
        if ((heard && !diagnosis_is_heard(&axes->inputs[i])) ||
            !diagnosis_zero_turn(zero, axes, i, &angle))
            continue;
        *degrees = angle > *degrees ? angle : *degrees;
        has_one = true;
    }
    return has_one;
}

bool diagnosis_zero_heard(const struct diagnosis_zero *zero,
                          const struct diagnosis_role_inputs *axes, double *degrees)
{
    return largest(zero, axes, true, degrees);
}

bool diagnosis_zero_tilt(const struct diagnosis_zero *zero,
                         const struct diagnosis_role_inputs *axes, double *degrees)
{
    return largest(zero, axes, false, degrees);
}

void diagnosis_zero_put(const struct diagnosis_zero *zero, struct diagnosis_bytes *bytes)
{
    diagnosis_bytes_put(bytes, zero->was_flat, 1);
    diagnosis_bytes_put(bytes, zero->found, 1);
    diagnosis_bytes_put(bytes, zero->axes, 1);
    for (size_t i = 0; i < zero->axes; i++)
        diagnosis_bytes_put_real(bytes, zero->zero[i]);
}

void diagnosis_zero_get(struct diagnosis_zero *zero, size_t axes, struct diagnosis_bytes *bytes)
{
    zero->was_flat = diagnosis_bytes_get(bytes, 1) == 1;
    zero->found = diagnosis_bytes_get(bytes, 1) == 1;
    zero->axes = (uint8_t)diagnosis_bytes_get(bytes, 1);
    if ((zero->axes != 0 && zero->axes != axes) || axes > RULE_ROLE_POINTS_MAX)
        bytes->failed = true;
    for (size_t i = 0; i < zero->axes && !bytes->failed; i++)
        zero->zero[i] = diagnosis_bytes_get_real(bytes);
}

/* Telling a jump from a spike, by the last five values that were believed.
 *
 * Pure; runs in the pipeline thread. Two far values in a row are no spike, whatever lies between
 * them: a value is held back once, never twice. Never allocates. */
#include "gateway/flow/spike.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEVIATIONS 6 /* [eng] of the median deviation */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[SPIKE_VALUES])
{
    qsort(values, SPIKE_VALUES, sizeof *values, compare);
    return values[SPIKE_VALUES / 2];
}

static bool is_far(const struct spike *spike, double limit, double value)
{
    double values[SPIKE_VALUES];
    memcpy(values, spike->values, sizeof values);
    double middle = median(values);
    for (int i = 0; i < SPIKE_VALUES; i++)
        values[i] = fabs(values[i] - middle);
    double distance = fabs(value - middle);
    return distance > limit && distance > DEVIATIONS * median(values);
}

static void believe(struct spike *spike, double value)
{
    spike->values[spike->next] = value;
    spike->next = (uint8_t)((spike->next + 1) % SPIKE_VALUES);
    if (spike->count < SPIKE_VALUES)
        spike->count++;
}

enum spike_verdict spike_look(struct spike *spike, double limit, double value, mono_time at)
{
    if (!isfinite(value))
        return SPIKE_NO;
    bool suspected = spike->suspects;
    bool far = spike->count == SPIKE_VALUES && is_far(spike, limit, value);
    spike->suspects = far && !suspected;
    if (spike->suspects) {
        spike->suspect = value;
        spike->since = at;
        return SPIKE_SUSPECT;
    }
    if (far) { /* what was usual is not any more */
        spike->count = spike->next = 0;
        believe(spike, spike->suspect);
    }
    believe(spike, value);
    if (far)
        return SPIKE_CONFIRMED;
    return suspected && clock_ms_between(spike->since, at) <= SPIKE_MS ? SPIKE_WAS : SPIKE_NO;
}

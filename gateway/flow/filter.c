/* The deadband, and the silence of repeated failures, per block.
 * Pure: the pipeline thread owns the struct and calls; time comes with the sample. A row that is
 * left out says "nothing moved", so the comparison is with the last row that was kept.
 * Never changes a value: a kept row carries all its true values. */
#include "gateway/flow/filter.h"

#include <math.h>
#include <string.h>

#include "proto/names.h"

static bool moved(const struct filter *filter, const struct value *values)
{
    for (uint16_t i = 0; i < filter->count; i++) {
        const struct value *a = &filter->last[i], *b = &values[i];
        if (a->quality != b->quality)
            return true;
        if (!names_quality_usable((enum quality)b->quality))
            continue;
        double difference = filter->is_float[i] ? (double)b->real - (double)a->real
                                                : (double)b->steps - (double)a->steps;
        if (fabs(difference) > filter->deadband[i])
            return true;
    }
    return false;
}

bool filter_keep(struct filter *filter, const struct sample *sample, const struct value *values)
{
    bool beat =
        !filter->any || clock_ms_between(filter->kept, sample->mono) >= filter->heartbeat_ms;
    bool same = filter->any && sample->failure == filter->failure;
    bool keep = beat || !same;
    if (!keep && sample->failure == QUALITY_GOOD)
        keep = !filter->all_deadband || moved(filter, values);
    if (!keep)
        return false;
    filter->any = true;
    filter->failure = sample->failure;
    filter->kept = sample->mono;
    if (filter->all_deadband && sample->count)
        memcpy(filter->last, values, sample->count * sizeof *values);
    return true;
}

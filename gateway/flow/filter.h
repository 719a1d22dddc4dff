/* Which samples become rows. Pure.
 *
 * Every poll is a row, unless every point of its block has a deadband: then only when one has moved
 * beyond its own since the last kept row, a quality changed, or the heartbeat has run out. A poll
 * that goes on failing alike is one row a heartbeat. */
#ifndef LIFELINE_FILTER_H
#define LIFELINE_FILTER_H

#include "gateway/flow/queue.h"

struct filter {
    uint16_t count;
    bool all_deadband;
    bool any;        /* a row was kept */
    uint8_t failure; /* of the last kept row */
    mono_time kept;  /* when that was */
    int64_t heartbeat_ms;
    struct value *last; /* its values; only with all_deadband */
    double *deadband;   /* in steps, or in the unit for floats; likewise */
    bool *is_float;
};

/* True when the sample is to be kept; remembers it then. */
bool filter_keep(struct filter *filter, const struct sample *sample, const struct value *values);

#endif

/* What a register can hold, as raw values. */
#ifndef LIFELINE_SIM_SPAN_H
#define LIFELINE_SIM_SPAN_H

#include "config/profile.h"

/* Up to here raw x scale is right to the last digit in a double. */
#define SIM_SPAN_STEPS ((double)(INT64_C(1) << 47))

struct sim_span {
    double low, high;
};

/* What the point's type and mask can hold; of floats and 64 bits what is of use. */
struct sim_span sim_span_of_type(const struct profile_point *point);

/* An invalid mark as a raw value; NAN when no raw value looks like it. */
double sim_span_mark(const struct profile_point *point, uint64_t mark);

#endif

/* What a register can hold, as raw values before scale and offset.
 *
 * Pure. Apart from drivers/encode.c, which the simulator writes registers with: here is only where
 * they end and which of them mean nothing. */
#include "drivers/sim/sim_span.h"

#include <math.h>
#include <string.h>

struct sim_span sim_span_of_type(const struct profile_point *point)
{
    double bits = point->mask == 0 ? 0 : point->mask >> __builtin_ctz(point->mask);
    switch (point->type) {
    case REGISTER_U16:
        return (struct sim_span){0, bits};
    case REGISTER_I16:
        return (struct sim_span){-(bits + 1) / 2, (bits - 1) / 2};
    case REGISTER_U32:
        return (struct sim_span){0, UINT32_MAX};
    case REGISTER_I32:
        return (struct sim_span){INT32_MIN, INT32_MAX};
    case REGISTER_U64:
        return (struct sim_span){0, SIM_SPAN_STEPS};
    case REGISTER_I64:
        return (struct sim_span){-SIM_SPAN_STEPS, SIM_SPAN_STEPS};
    case REGISTER_F32:
    case REGISTER_F64:
        return (struct sim_span){-1e6, 1e6};
    case REGISTER_BIT:
        return (struct sim_span){0, 1};
    case REGISTER_BCD16:
        return (struct sim_span){0, 9999};
    case REGISTER_BCD32:
        return (struct sim_span){0, 99999999};
    case REGISTER_DIGIT_BCD16:
        return (struct sim_span){0, 299};
    case REGISTER_BYTE_FRACTION:
        return (struct sim_span){0, 255.9};
    }
    return (struct sim_span){0, 0};
}

double sim_span_mark(const struct profile_point *point, uint64_t mark)
{
    float real;
    double wide;
    uint32_t low = (uint32_t)mark;
    struct sim_span span = sim_span_of_type(point);
    switch (point->type) {
    case REGISTER_F32:
        memcpy(&real, &low, sizeof real);
        return (double)real;
    case REGISTER_F64:
        memcpy(&wide, &mark, sizeof wide);
        return wide;
    case REGISTER_U16:
        return (double)(uint16_t)mark;
    case REGISTER_I16:
        return (double)(uint16_t)mark -
               ((double)(uint16_t)mark > span.high ? span.high - span.low + 1 : 0);
    case REGISTER_U32:
        return (double)low;
    case REGISTER_I32:
        return (double)(int32_t)low;
    case REGISTER_U64:
        return (double)mark;
    case REGISTER_I64:
        return (double)(int64_t)mark;
    case REGISTER_BIT:
        return (double)(mark & 1);
    case REGISTER_BYTE_FRACTION:
        return (double)(mark >> 8 & 0xff) + (double)(mark & 0xff) / 10;
    case REGISTER_BCD16:
    case REGISTER_BCD32:
    case REGISTER_DIGIT_BCD16: {
        double number = 0;
        for (int shift = 28; shift >= 0; shift -= 4) {
            number = number * 10 + (double)(low >> shift & 0xf);
        }
        return number;
    }
    }
    return (double)NAN;
}

/* One decoded value: what a register became, before it has a time and a place. */
#ifndef LIFELINE_VALUE_H
#define LIFELINE_VALUE_H

#include <stdint.h>

/* steps = value x 10^decimals, |steps| <= 2^53-1; real for points that are sent as floats. Which of
 * the two, and the decimals, belong to the point and never change while it lives. Under a quality
 * that is not usable (names.h) the number is 0 and means nothing. */
struct value {
    union {
        int64_t steps;
        float real;
    };
    uint8_t quality; /* enum quality */
};

#define VALUE_STEPS_MAX ((INT64_C(1) << 53) - 1)

#endif

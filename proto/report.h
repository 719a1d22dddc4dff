/* Report: what the gateway makes of many readings, as a C struct to and from its bytes. Pure. */
#ifndef LIFELINE_REPORT_H
#define LIFELINE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

enum {
    REPORT_DOUBTS_MAX = 32,
    REPORT_MAX = 4096, /* bytes of a packed report: never more */
};

/* RunoffGrade of lifeline.proto. */
enum report_grade {
    REPORT_GRADE_UNSPECIFIED = 0,
    REPORT_GRADE_A = 1,
    REPORT_GRADE_B = 2,
    REPORT_GRADE_C = 3,
    REPORT_GRADE_INSUFFICIENT = 4,
    REPORT_GRADE_NOT_EVALUATED = 5,
    REPORT_GRADE_IMPLAUSIBLE = 6,
};

/* Field for field as wire.md and lifeline.proto say: one rain event of a catchment. Strings are
 * borrowed and never NULL. Times are UTC ms, 0 = not given. */
struct report_runoff {
    const char *gateway;
    enum sector sector;
    int64_t at_ms; /* the report was made */
    const char *catchment, *id;
    enum report_grade grade;
    int64_t from_ms, to_ms;
    double rain_mm, area_ha, rain_m3;
    double outflow_m3; /* base flow taken off */
    double base_flow_m3_s;
    double captured, uncertainty; /* both 0 where the grade refuses a number */
    double rain_coverage, flow_coverage;
    double peak_m3_s;
    int64_t peak_ms, lag_ms;
    const char *doubts[REPORT_DOUBTS_MAX];
    size_t doubt_count;
    bool partial;
};

/* Returns the length, at most REPORT_MAX; 0 when the capacity is too small or a string is not
 * UTF-8. Doubts that would make it longer than REPORT_MAX are left out, the last ones first; then
 * the last one says how many. */
size_t report_pack_runoff(const struct report_runoff *report, uint8_t *out, size_t capacity);

/* out's strings point into what is returned, to be freed with report_free(); NULL, and out is not
 * touched, when the bytes are no Report of a rain event or say what none of ours can (an unknown
 * sector or grade, more doubts than fit). */
struct report_memory;
struct report_memory *report_unpack_runoff(const uint8_t *bytes, size_t length,
                                           struct report_runoff *out)
    __attribute__((warn_unused_result));
void report_free(struct report_memory *memory);

#endif

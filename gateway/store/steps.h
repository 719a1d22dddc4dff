/* Steps of alarms out of the store, those of one alarm behind each other, the alarm that was seen
 * first first. */
#ifndef LIFELINE_STEPS_H
#define LIFELINE_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/lane.h"
#include "gateway/store/loan.h"

struct steps;

/* Which ones; zeroed but for until_ms: all. */
struct steps_wanted {
    char part[ALARM_ID_LENGTH + 1]; /* the begin or end of an id */
    int64_t since_ms, until_ms;     /* from, and before */
    unsigned level;                 /* this one and worse; an end counts by what it was */
    enum sector sector;
};

/* NULL when there is no memory. Lend steps_loan(); loan_abandon() frees it. */
struct steps *steps_new(const struct steps_wanted *wanted);
struct loan *steps_loan(struct steps *steps);

enum steps_next {
    STEPS_ONE,   /* *out, until the next call */
    STEPS_FETCH, /* to be lent once more */
    STEPS_END,
};

enum steps_next steps_next(struct steps *steps, const struct lane_event **out);

/* What was found so far. */
struct steps_found {
    uint64_t steps, damaged_rows;
    bool incomplete; /* some are on a disk that is out of reach */
    const char *why; /* it failed; else NULL */
};

struct steps_found steps_found(const struct steps *steps);

#endif

/* Sponge city: how much of a rain a catchment kept, event by event. Pure: time comes in with every
 * call, nothing is allocated after runoff_new(), nothing is printed. One thread.
 *
 *     dry ──0.2 mm──> event ──dry for dry_gap, and the flow back to base──> struct runoff_event
 *
 * An event reaches from the last reading that knew of no rain to the first that found the flow back
 * at base after the last rain. It is told when that has lasted RUNOFF_SETTLE_MS. A flow that stays
 * up for RUNOFF_DRAIN_MS beyond dry_gap, or rain or flow that nobody can see, ends it too, and so
 * do RUNOFF_EVENT_MAX_MS: with a doubt.
 *
 *     rain volume V_r = 10 P A        outflow V_o = sum of (Q - Q_base) dt, 0 for 0 <= Q < Q_base
 *     captured C = 1 - V_o / V_r      u(C) = V_o / V_r sqrt(uQ² + uP² + uA²) + what is not known
 *
 * The honesty rules of sponge-city figures, and what is done about each:
 *   1  C comes with P, A, V_o, Q_base, coverage and u, or not at all: without a base flow no C.
 *   2  Coverage below 95 % of the minutes: grade C; below 80 %: INSUFFICIENT, no number.
 *   3  P < 2 mm: NOT_EVALUATED, no number.
 *   4  Gauges that differ by more than 2: grade C. A counter that falls is a wrap or a reset, never
 *      negative rain. More than 4 mm/min: suspect; more than 8: not counted, and said.
 *   5  Flow below the sensor's cut-off is in 0 ... cut-off: the middle counts, the rest widens u.
 *   6  Reverse flow is counted as negative, and said. The dry-weather flow of the same hour is
 * taken off, and said; what flowed below it is said and widens u. 7  C ± u straddles the target: it
 * is said that it cannot be judged. 8  C < 0 or > 1: IMPLAUSIBLE, shown as it is. (Beyond 1 by less
 * than RUNOFF_RESOLUTION a meter's zero is the reason; that is said instead.) 9  Not every outlet
 * is gauged: `partial`, grade C, and those that are get listed. 10  An event is not the annual
 * rate: nothing here adds events up. That takes all valid events of a year, and is the platform's.
 *
 * Times run on the monotonic clock; the wall clock labels them (by what it says at the end of the
 * event) and tells the hour of the dry-weather pattern. */
#ifndef LIFELINE_RUNOFF_H
#define LIFELINE_RUNOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/catchment.h"
#include "drivers/clock.h"

#define RUNOFF_BEGIN_MM          0.2
#define RUNOFF_LEAST_MM          2.0
#define RUNOFF_SUSPECT_MM_MIN    4.0
#define RUNOFF_IMPOSSIBLE_MM_MIN 8.0
#define RUNOFF_RESOLUTION        0.001

enum {
    RUNOFF_SETTLE_MS = 65 * 60 * 1000,
    RUNOFF_DRAIN_MS = 18 * 3600 * 1000,
    RUNOFF_EVENT_MAX_MS = 7 * 24 * 3600 * 1000,
    RUNOFF_SAVE_MAX = 16384,
    RUNOFF_TEXT_MAX = 240,
    RUNOFF_ID_MAX = 56, /* NAME-20260718T031500Z */
};

/* The numbers of lifeline.proto. */
enum runoff_grade {
    RUNOFF_GRADE_A = 1, /* complete and plausible */
    RUNOFF_GRADE_B = 2, /* usable with its doubts */
    RUNOFF_GRADE_C = 3, /* an indication only */
    RUNOFF_GRADE_INSUFFICIENT = 4,
    RUNOFF_GRADE_NOT_EVALUATED = 5,
    RUNOFF_GRADE_IMPLAUSIBLE = 6,
};

const char *runoff_grade_name(enum runoff_grade grade); /* "a", "insufficient" ... */

/* Each at most once in an event, in this order. */
enum runoff_doubt_kind {
    RUNOFF_RAIN_COVERAGE,
    RUNOFF_FLOW_COVERAGE,
    RUNOFF_LITTLE_RAIN,
    RUNOFF_NO_BASE,
    RUNOFF_RAIN_RATIO,
    RUNOFF_RAIN_SUSPECT,
    RUNOFF_RAIN_IMPOSSIBLE,
    RUNOFF_RAIN_RESET,
    RUNOFF_RAIN_GAP,  /* rain that fell while nobody read the counter */
    RUNOFF_GAUGE_OUT, /* a gauge was not used */
    RUNOFF_FLOW_GAP,
    RUNOFF_CUTOFF,
    RUNOFF_REVERSE,
    RUNOFF_BELOW_BASE,
    RUNOFF_BASE_TAKEN, /* no doubt: what was subtracted */
    RUNOFF_BASE_YOUNG,
    RUNOFF_BASE_OTHER_HOURS,
    RUNOFF_BASE_BEFORE, /* nothing was learned: the flow before the rain */
    RUNOFF_BEGIN_UNKNOWN,
    RUNOFF_NOT_BACK,
    RUNOFF_TOO_LONG,
    RUNOFF_CLOCK,
    RUNOFF_PARTIAL,
    RUNOFF_OUTSIDE, /* C < 0 or > 1 */
    RUNOFF_ABOUT_ONE,
    RUNOFF_NOT_JUDGED,
    RUNOFF_QUALIFIES, /* no doubt: an event for the design-rain check */
    RUNOFF_DOUBT_COUNT,
};

struct runoff_doubt {
    enum runoff_doubt_kind kind;
    char text[RUNOFF_TEXT_MAX];
};

struct runoff_event {
    const char *catchment;
    char id[RUNOFF_ID_MAX];
    enum runoff_grade grade;
    int64_t from_ms, to_ms; /* UTC */
    double rain_mm, area_ha, rain_m3;
    double outflow_m3; /* base flow taken off */
    double base_flow_m3_s;
    bool has_captured; /* false: the grade says why; captured and uncertainty are 0 then */
    double captured, uncertainty;
    double rain_coverage, flow_coverage; /* fractions of the event's minutes */
    double peak_m3_s;                    /* as measured, base flow in it */
    int64_t peak_ms;                     /* UTC; 0 = no peak was seen */
    int64_t lag_ms; /* from the centre of the rain to the peak; 0 = nothing flowed out */
    struct runoff_doubt doubts[RUNOFF_DOUBT_COUNT];
    size_t doubt_count;
    bool partial;
    /* Not on the wire. gross = outflow + base - below_base. */
    double gross_m3, base_m3, below_base_m3, reverse_m3;
    double
        not_known_m3; /* half the width of what the outflow may be, but for the errors of sensors */
    int64_t dry_before_ms; /* at least */
    bool qualifies;
};

/* What is going on now. */
struct runoff_now {
    bool event;
    int64_t from_ms, duration_ms; /* of the event; from: UTC */
    double rain_mm, outflow_m3;   /* so far */
    bool flow_known;
    double flow_m3_s; /* base flow in it */
    bool base_known;
    double base_m3_s;
};

struct runoff;

/* The catchment must outlive it. NULL without memory. */
struct runoff *runoff_new(const struct catchment *catchment);
void runoff_free(struct runoff *runoff);

/* Goes on under a catchment that says the same (catchment_same), as after a reload. */
void runoff_rebind(struct runoff *runoff, const struct catchment *same);

/* A reading of a gauge (the counter in mm) or an outfall, also one that is not usable: its value
 * does not matter then. An index that does not exist is ignored. */
void runoff_rain(struct runoff *runoff, size_t gauge, double mm, bool usable, mono_time mono,
                 wall_time wall);
void runoff_flow(struct runoff *runoff, size_t outfall, double m3_s, bool usable, mono_time mono,
                 wall_time wall);

/* Once a minute or more often. The event that has just ended, good until the next call, or NULL. */
const struct runoff_event *runoff_tick(struct runoff *runoff, mono_time mono, wall_time wall);

void runoff_look(const struct runoff *runoff, struct runoff_now *out);

/* What must survive a restart or a reload: the dry-weather pattern and the event going on. Returns
 * the length, at most RUNOFF_SAVE_MAX; 0 when the capacity is too small. */
size_t runoff_save(const struct runoff *runoff, uint8_t *out, size_t capacity);

/* Before the first reading. False when the bytes are none of ours: nothing is changed then. Of
 * other outfalls or gauges only the patterns of the outfalls that are still there are taken. How
 * much time went by is told by the wall clock of the next call. */
bool runoff_load(struct runoff *runoff, const uint8_t *bytes, size_t length)
    __attribute__((warn_unused_result));

#endif

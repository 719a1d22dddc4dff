/* One rule on one point (or on a device): which level does it want? Pure; all times come in.
 *
 * Every kind of rule is a number, its measure, against a threshold for each level:
 *
 *     above, below, equals   the value
 *     rise, fall             its change against the window's lowest, highest
 *     sum                    the increase of a counter in the window
 *     silent                 ms since the last good sample
 *     flat                   ms since the value last changed by more than the hysteresis
 *     all, any               the conditions: 1 or 0, or not known
 *
 * Each level has a latch of its own. An open latch closes when the measure has been at or beyond
 * the threshold for `dwell`, without a sample that says otherwise: at the first sample at or after
 * the dwell's end that still is, or, when none comes, `patience` after it (the sensor may have
 * drowned). A closed latch opens when the measure has been on the good side of threshold -+
 * hysteresis for `clear`: at a sample that says so, never by silence. The level that is wanted is
 * that of the most severe closed latch. Samples that do not count (the poll failed, the quality is
 * not usable, the number is not finite) change nothing: neither do they raise nor do they clear;
 * but for silent, which is about them.
 *
 * A latch that judge_restore() closed was closed by what came before, which nobody knows any more.
 * Of rise, fall and sum it does not open before the window reaches back over its whole length, and
 * of flat not before the value is seen to move. */
#ifndef LIFELINE_JUDGE_H
#define LIFELINE_JUDGE_H

#include "config/rule.h"
#include "drivers/clock.h"
#include "drivers/window.h"

struct judge_latch {
    bool closed;
    bool counting;   /* towards the other state */
    bool told;       /* closed by judge_restore(); no sample has said yet what is true */
    mono_time since; /* it counts */
};

struct judge {
    const struct rule *rule;
    int64_t patience_ms; /* two periods of the point, or of the slowest of the conditions' points */
    double wrap;         /* of a counter; 0 = none */
    struct judge_latch latches[LEVEL_COUNT];
    uint8_t level;   /* wanted now */
    double measure;  /* the newest */
    mono_time first; /* since when what made it want a level stands (silent: the last good sample);
                      * stays while it wants any. ns 0: wants none, or it was restored */
    bool begun;      /* there was a good value */
    double value;    /* of a good value: the last; of flat: the one that stands */
    mono_time at;    /* its time; of flat: since when it stands */
    struct window *window; /* rise, fall, sum; the caller's, NULL for other kinds */
};

/* patience_ms, wrap and window stay as the caller has set them. now: silent counts from here. */
void judge_start(struct judge *judge, const struct rule *rule, mono_time now);

/* After judge_start(): the level it had before a restart. That latch is closed and those of lesser
 * levels, until a sample says otherwise. */
void judge_restore(struct judge *judge, uint8_t level, mono_time now);

/* Goes on where one under a rule that judges alike (rule_same) left off. */
void judge_carry(struct judge *judge, const struct judge *before);

/* After judge_restore(), where the one before stood under a rule that judges otherwise: what it saw
 * of the world counts (the rain so far, since when a value stands), its latches do not. */
void judge_inherit(struct judge *judge, const struct judge *before);

/* Over a restart: the rain so far, of a sum; other kinds know enough again with their next samples.
 * Returns the length, 0 = nothing. load comes after judge_start(), before judge_restore(), and
 * changes nothing when it is false. */
enum { JUDGE_SAVE_MAX = 16 + WINDOW_SAVE_MAX };
size_t judge_save(const struct judge *judge, mono_time now, wall_time wall, uint8_t *out,
                  size_t capacity);
bool judge_load(struct judge *judge, mono_time now, wall_time wall, const uint8_t *bytes,
                size_t length) __attribute__((warn_unused_result));

/* A usable sample of its point. Of a counter: any jump down is a wrap when `wrap` makes it a small
 * step (below a quarter of it), else a reset, which adds nothing. Returns the level wanted. */
uint8_t judge_value(struct judge *judge, double value, mono_time at);

/* all, any: what the conditions say now; unknown while one of their points has no usable value that
 * decides. */
enum judge_truth { JUDGE_FALSE, JUDGE_TRUE, JUDGE_UNKNOWN };
uint8_t judge_truth(struct judge *judge, enum judge_truth truth, mono_time at);

/* The time has come: for judge_due(), or earlier. A sample does it too, for what came before it. */
uint8_t judge_tick(struct judge *judge, mono_time now);

/* When judge_tick() may change something; ns INT64_MAX = only a sample can. */
mono_time judge_due(const struct judge *judge);

/* Another sample would bring a decision nearer: an open latch is counting. */
bool judge_is_counting(const struct judge *judge);

#endif

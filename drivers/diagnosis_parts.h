/* The diagnoses and what they share. Only for drivers/diagnosis*.c and drivers/class_*.c. */
#ifndef LIFELINE_DIAGNOSIS_PARTS_H
#define LIFELINE_DIAGNOSIS_PARTS_H

#include "drivers/diagnosis.h"

extern const struct diagnosis diagnosis_burst, diagnosis_night_leak, diagnosis_cover_opened,
    diagnosis_cover_missing, diagnosis_overflow, diagnosis_onset, diagnosis_without_rain,
    diagnosis_biogas, diagnosis_blocked_gauge, diagnosis_drift;

#define DIAGNOSIS_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- numbers of the rule ---- */

/* The most severe level whose number the measure reaches; LEVEL_NONE. */
uint8_t diagnosis_level(const struct rule *rule, double measure);

/* The least severe level that the rule gives; LEVEL_NONE when it gives none. */
uint8_t diagnosis_least(const struct rule *rule);

/* One step up among the levels that the rule gives; the same when there is none. */
uint8_t diagnosis_graver(const struct rule *rule, uint8_t level);

/* Goes up with the measure at once, and down when it is below the number by the rule's hysteresis;
 * never below the least level: the end is the diagnosis's own. */
uint8_t diagnosis_follow(const struct rule *rule, uint8_t level, double measure);

double diagnosis_number(const struct diagnosis_moment *moment, size_t param);
int64_t diagnosis_ms(const struct diagnosis_moment *moment, size_t param);

/* Sorts the values; 0 when there are none. */
double diagnosis_median(double *values, size_t count);

/* ---- inputs ---- */

/* A role that is played by one; NULL when nobody plays it. */
const struct diagnosis_input *diagnosis_player(const struct diagnosis_moment *moment, size_t role);

/* This very call brings its usable value. */
bool diagnosis_is_heard(const struct diagnosis_input *input);

/* Its newest value, now. */
bool diagnosis_is_known(const struct diagnosis_input *input);

/* ---- a condition that must last ---- */

struct diagnosis_hold {
    bool is;             /* the condition, as the newest sample says */
    bool held;           /* it has lasted */
    mono_time since, at; /* of the condition; of the newest sample */
    int64_t pace_ms;     /* between the newest two samples; 0 = not known */
};

/* A sample. */
void diagnosis_hold_hear(struct diagnosis_hold *hold, bool is, mono_time at, int64_t need_ms);

/* No sample: it is held too when two more paces have passed and nothing said otherwise. */
void diagnosis_hold_wait(struct diagnosis_hold *hold, mono_time now, int64_t need_ms);
mono_time diagnosis_hold_due(const struct diagnosis_hold *hold, int64_t need_ms);

/* ---- words ---- */

/* Ends at a whole character when it is too long. */
void diagnosis_say(char out[DIAGNOSIS_TEXT_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number for a text: whatever it is, it is short. */
struct diagnosis_word {
    char text[24];
};
struct diagnosis_word diagnosis_word(double value, int decimals);

/* A duration: "90 s", "5 min", "2 h"; "90 秒", "5 分钟", "2 小时". */
struct diagnosis_word diagnosis_word_ms(int64_t ms, bool chinese);

/* The earlier of two dues that lies after now; ns 0 = neither. */
mono_time diagnosis_sooner(mono_time a, mono_time b, mono_time now);

#endif

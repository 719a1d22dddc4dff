/* The life of one alarm: from the level that its rule wants to the steps that people see. Pure.
 *
 *     wanted 0 -> 3   RAISED        3 -> 2  ESCALATED     2 -> 3  EASED     3 -> 0  CLEARED
 *     a person        ACKED         maintenance   SUPPRESSED, and nothing until it ends
 *
 * One id (ULID) and steps 1, 2, 3 ... from RAISED (or SUPPRESSED) to CLEARED; the next RAISED has a
 * new id. After a cut some numbers are left out (store_untold). An ESCALATED, and a RAISED after
 * SUPPRESSED, has to be acknowledged anew.
 *
 * Flapping: each RAISED within LIFE_FLAP_MS of the CLEARED before counts, as does an ESCALATED of
 * the EASED that it takes back, and from the third on CLEARED and EASED wait: 1, 2, 4 ... minutes,
 * at most LIFE_HOLD_MAX_MS. An hour without another one, and without an end that was held and then
 * did not come, forgets them. Nothing but the end of an alarm is ever held back.
 *
 * Maintenance silences what it is asked to, but never an alarm that is `never_hidden` (gas at or
 * above 20 %LEL): that is RAISED, and one that becomes so while suppressed is RAISED then, and
 * stays told until it ends or the window does. */
#ifndef LIFELINE_LIFE_H
#define LIFELINE_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "proto/alarm.h"

enum {
    LIFE_FLAP_MS = 600000,
    LIFE_HOLD_MS = 60000,
    LIFE_HOLD_MAX_MS = 3600000,
};

/* What the rule says now. */
struct life_want {
    uint8_t level; /* 0 = nothing */
    bool never_hidden;
    bool maintained; /* a maintenance window covers it */
    mono_time mono;
    wall_time wall;
};

struct life {
    char id[ALARM_ID_LENGTH + 1]; /* "" = none was ever */
    bool open;                    /* between RAISED (SUPPRESSED) and CLEARED */
    bool suppressed;              /* nobody was told */
    bool acked;
    bool shown;    /* was never_hidden in this maintenance window */
    uint8_t level; /* as it was told; of a suppressed one as it is */
    uint32_t step;
    int64_t raised_ms, cleared_ms; /* wall; raised: of the first RAISED or SUPPRESSED */
    mono_time raised;              /* the same moment; ns 0 = before a restart */
    mono_time cleared;
    mono_time eased;      /* ns 0 = something was told since, but for an ACKED */
    uint32_t flaps;       /* in a row */
    mono_time flapped;    /* last */
    mono_time hold_until; /* of CLEARED and EASED; ns 0 = nothing is held */
};

/* One step that happened; level and previous_level as in AlarmEvent. */
struct life_step {
    enum alarm_status status;
    uint32_t step;
    uint8_t level, previous_level;
    bool acked;
    uint32_t flaps; /* of a RAISED or ESCALATED: in a row, for which its end will wait; else 0 */
};

/* True when there is a step. Call it with every word of the rule and at life_due(). */
bool life_want(struct life *life, const struct life_want *want, struct life_step *out);

/* True when the acknowledgement is a step: the alarm is open and was not acknowledged. */
bool life_ack(struct life *life, struct life_step *out);

/* The rule is gone (a reload): CLEARED at once if it is open. */
bool life_end(struct life *life, mono_time mono, wall_time wall, struct life_step *out);

/* As it was before a restart: the last step that was stored. */
void life_restore(struct life *life, const struct alarm_event *last, bool acked);

/* When life_want() is to be asked again with the same want; ns INT64_MAX = when that changes. */
mono_time life_due(const struct life *life);

/* 26 characters and NUL: 48 bits of wall ms, 80 random bits (getrandom). */
void life_ulid(char out[ALARM_ID_LENGTH + 1], int64_t wall_ms);

#endif

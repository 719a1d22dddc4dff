/* The life of one alarm as a state machine.
 *
 *     none ── wanted ──> RAISED ─┬─ more severe ─> ESCALATED ─┬─ not wanted ──> CLEARED
 *       └── in maintenance ──┐   └─ less severe ─> EASED ─────┘  (held while it flaps)
 *                       SUPPRESSED ── maintenance ends, or gas ──> RAISED
 *
 * Pure; runs in the pipeline thread. Times that decide are monotonic; wall times are only told. */
#include "gateway/flow/life.h"

#include <string.h>
#include <sys/random.h>

#include "proto/ulid.h"

enum { HOUR_MS = 3600000, FLAPS_FREE = 2 };

void life_ulid(char out[ALARM_ID_LENGTH + 1], int64_t wall_ms)
{
    uint8_t random[ULID_RANDOM];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        int64_t now_ns = clock_mono().ns; /* no two alarms begin in one ns */
        memset(random, 0, sizeof random);
        memcpy(random, &now_ns, sizeof now_ns);
    }
    ulid_encode(out, wall_ms, random);
}

static void forget_flaps(struct life *life, mono_time now)
{
    if (clock_ms_between(life->flapped, now) > HOUR_MS)
        life->flaps = 0;
}

/* How long CLEARED and EASED wait. */
static int64_t hold_ms(struct life *life, mono_time now)
{
    forget_flaps(life, now);
    if (life->flaps <= FLAPS_FREE)
        return 0;
    uint32_t doublings = life->flaps - FLAPS_FREE - 1;
    return doublings < 6 ? (int64_t)LIFE_HOLD_MS << doublings : LIFE_HOLD_MAX_MS;
}

static bool step(struct life *life, enum alarm_status status, uint8_t level, struct life_step *out)
{
    bool begins = status == ALARM_STATUS_RAISED;
    bool is_news = begins || status == ALARM_STATUS_ESCALATED;
    *out = (struct life_step){
        .status = status,
        .step = ++life->step,
        .level = level,
        .previous_level = begins ? LEVEL_NONE : life->level,
        .acked = life->acked,
        .flaps = is_news && life->flaps > FLAPS_FREE ? life->flaps : 0,
    };
    life->level = level;
    life->hold_until = (mono_time){0};
    if (status != ALARM_STATUS_ACKED)
        life->eased = (mono_time){0};
    return true;
}

/* What was better then is as it was. */
static void count_flap(struct life *life, mono_time better, mono_time now)
{
    forget_flaps(life, now);
    if (!better.ns || clock_ms_between(better, now) > LIFE_FLAP_MS)
        return;
    life->flaps++;
    life->flapped = now;
}

static bool begin(struct life *life, const struct life_want *want, bool silenced,
                  struct life_step *out)
{
    count_flap(life, life->cleared, want->mono);
    life_ulid(life->id, want->wall.ms);
    life->open = true;
    life->suppressed = silenced;
    life->acked = false;
    life->step = 0;
    life->level = LEVEL_NONE;
    life->raised_ms = want->wall.ms;
    life->raised = want->mono;
    return step(life, silenced ? ALARM_STATUS_SUPPRESSED : ALARM_STATUS_RAISED, want->level, out);
}

static bool clear(struct life *life, mono_time mono, wall_time wall, struct life_step *out)
{
    life->open = life->suppressed = life->shown = false;
    life->cleared = mono;
    life->cleared_ms = wall.ms;
    return step(life, ALARM_STATUS_CLEARED, LEVEL_NONE, out);
}

/* True while an end has to wait. */
static bool is_held(struct life *life, mono_time now)
{
    if (!life->hold_until.ns)
        life->hold_until = clock_after_ms(now, hold_ms(life, now));
    return now.ns < life->hold_until.ns;
}

/* It is wanted as before, or worse. */
static void stop_holding(struct life *life, mono_time now)
{
    if (life->hold_until.ns)
        life->flapped = now;
    life->hold_until = (mono_time){0};
}

static bool go_on(struct life *life, const struct life_want *want, struct life_step *out)
{
    bool eases = !want->level || want->level > life->level;
    if (eases && is_held(life, want->mono))
        return false;
    if (!eases)
        stop_holding(life, want->mono);
    if (want->level == life->level)
        return false;
    if (!want->level)
        return clear(life, want->mono, want->wall, out);
    if (eases) {
        (void)step(life, ALARM_STATUS_EASED, want->level, out);
        life->eased = want->mono;
        return true;
    }
    count_flap(life, life->eased, want->mono);
    life->acked = false;
    return step(life, ALARM_STATUS_ESCALATED, want->level, out);
}

/* Nobody is told how it changes. */
static bool go_on_unseen(struct life *life, const struct life_want *want, bool silenced,
                         struct life_step *out)
{
    if (!want->level)
        return !is_held(life, want->mono) && clear(life, want->mono, want->wall, out);
    stop_holding(life, want->mono);
    if (silenced) {
        life->level = want->level;
        return false;
    }
    life->suppressed = life->acked = false;
    forget_flaps(life, want->mono);
    return step(life, ALARM_STATUS_RAISED, want->level, out);
}

static bool is_silenced(struct life *life, const struct life_want *want)
{
    if (!want->maintained)
        life->shown = false;
    else if (want->level && want->never_hidden)
        life->shown = true;
    return want->maintained && !life->shown;
}

bool life_want(struct life *life, const struct life_want *want, struct life_step *out)
{
    bool silenced = is_silenced(life, want);
    if (!life->open)
        return want->level && begin(life, want, silenced, out);
    if (life->suppressed)
        return go_on_unseen(life, want, silenced, out);
    if (silenced && want->level) {
        stop_holding(life, want->mono);
        life->suppressed = true;
        return step(life, ALARM_STATUS_SUPPRESSED, want->level, out);
    }
    return go_on(life, want, out);
}

bool life_ack(struct life *life, struct life_step *out)
{
    if (!life->open || life->suppressed || life->acked)
        return false;
    life->acked = true;
    mono_time held = life->hold_until;
    (void)step(life, ALARM_STATUS_ACKED, life->level, out);
    life->hold_until = held;
    return true;
}

bool life_end(struct life *life, mono_time mono, wall_time wall, struct life_step *out)
{
    return life->open && clear(life, mono, wall, out);
}

void life_restore(struct life *life, const struct alarm_event *last, bool acked)
{
    *life = (struct life){
        .open = last->status != ALARM_STATUS_CLEARED,
        .suppressed = last->status == ALARM_STATUS_SUPPRESSED,
        .acked = acked,
        .level = last->level,
        .step = last->step,
        .raised_ms = last->raised_ms,
        .cleared_ms = last->cleared_ms,
    };
    memcpy(life->id, last->id, sizeof life->id);
}

mono_time life_due(const struct life *life)
{
    return life->hold_until.ns ? life->hold_until : (mono_time){INT64_MAX};
}

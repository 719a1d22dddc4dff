/* The watch at work: samples in, alarms out.
 *
 * Runs in the pipeline thread. A sample is first noted for all points of its block, then every rule
 * that looks at one of them is asked; what a rule wants goes to its alarm's life, and a step of
 * that becomes an event. Times at which a rule has to be asked without a sample lie in one array:
 * the earliest is known, and when it has come all of them are looked at. Never allocates, never
 * blocks, never looks at a clock. */
#include <string.h>

#include "drivers/class.h"
#include "gateway/flow/watch_parts.h"

/* ---- what a rule wants, and what follows from it ---- */

static bool is_maintained(const struct watch *watch, const struct sentry *sentry, mono_time now)
{
    return watch->maintained[sentry->device].ns > now.ns;
}

static double value_of(const struct watch *watch, const struct sentry *sentry)
{
    return sentry->watched == WATCH_NONE ? 0 : watch->watched[sentry->watched].input.value;
}

static bool is_never_hidden(const struct watch *watch, const struct sentry *sentry)
{
    if (!sentry->level || sentry->point == WATCH_NONE)
        return false;
    const struct settings_device *device = &watch->settings->devices[sentry->device];
    return class_never_hidden(device->profile->points[sentry->point].quantity,
                              value_of(watch, sentry));
}

/* Alarms of people, not of sensors, make a sector's segments short and its devices be asked often.
 */
static bool is_public(const struct sentry *sentry)
{
    return !sentry->rule->fault && !rule_is_time(sentry->rule->kind);
}

static bool is_up(const struct sentry *sentry)
{
    return sentry->life.open && !sentry->life.suppressed && is_public(sentry);
}

static void count_up(struct watch *watch, const struct sentry *sentry, bool was)
{
    uint32_t step = is_up(sentry) ? 1 : UINT32_MAX;
    if (is_up(sentry) == was)
        return;
    watch->up[SECTOR_UNSPECIFIED] += step;
    watch->up[watch->settings->devices[sentry->device].sector] += step;
}

void watch_count(struct watch *watch)
{
    memset(watch->up, 0, sizeof watch->up);
    for (size_t i = 0; i < watch->sentry_count; i++)
        count_up(watch, &watch->sentries[i], false);
}

static void urge(struct watch *watch, struct sentry *sentry)
{
    bool urges = is_public(sentry) &&
                 (sentry->life.open ||
                  (sentry->diagnosis ? sentry->finding.hurry : judge_is_counting(&sentry->judge)));
    if (urges == sentry->urges)
        return;
    sentry->urges = urges;
    uint32_t *urging = &watch->urging[sentry->device];
    *urging += urges ? 1 : UINT32_MAX;
    if (*urging == (urges ? 1 : 0))
        watch->sink.boost(watch->sink.context, sentry->device, urges);
}

static mono_time due_of(const struct watch *watch, const struct sentry *sentry, mono_time now)
{
    mono_time due = life_due(&sentry->life);
    if (!sentry->diagnosis)
        due = clock_earlier(due, judge_due(&sentry->judge));
    else if (sentry->finding.due.ns)
        due = clock_earlier(due, sentry->finding.due);
    if (sentry->held)
        due = clock_earlier(due, sentry->held_until);
    if (sentry->life.suppressed && is_maintained(watch, sentry, now))
        due = clock_earlier(due, watch->maintained[sentry->device]);
    return due;
}

double watch_worth(const struct watch *watch, const struct sentry *sentry)
{
    enum rule_kind kind = sentry->rule->kind;
    if (sentry->diagnosis)
        return sentry->finding.value;
    if (kind == RULE_ABOVE || kind == RULE_BELOW || kind == RULE_EQUALS)
        return value_of(watch, sentry);
    return sentry->judge.measure;
}

static void note_peak(struct watch *watch, struct sentry *sentry, const struct watch_clock *clock)
{
    double value = watch_worth(watch, sentry);
    bool worse = sentry->rule->kind == RULE_BELOW ? value < sentry->peak : value > sentry->peak;
    if (sentry->life.open && !worse)
        return;
    sentry->peak = value;
    sentry->peak_ms = clock->wall.ms;
}

void watch_settle(struct watch *watch, struct sentry *sentry, const struct watch_clock *clock)
{
    if (sentry->held && (sentry->level || sentry->held_until.ns <= clock->mono.ns))
        sentry->held = 0;
    const struct life_want want = {
        .level = sentry->held ? sentry->held : sentry->level,
        .never_hidden = is_never_hidden(watch, sentry),
        .maintained = is_maintained(watch, sentry, clock->mono),
        .mono = clock->mono,
        .wall = clock->wall,
    };
    if (sentry->level)
        note_peak(watch, sentry, clock);
    bool was_up = is_up(sentry);
    struct life_step step;
    if (life_want(&sentry->life, &want, &step))
        watch_tell(watch, sentry, &step, clock);
    count_up(watch, sentry, was_up);
    urge(watch, sentry);
    mono_time due = due_of(watch, sentry, clock->mono);
    watch->dues[sentry - watch->sentries] = due.ns;
    watch->next = clock_earlier(watch->next, due);
}

struct diagnosis_moment watch_moment(const struct watch *watch, const struct sentry *sentry,
                                     const struct watch_clock *clock)
{
    const struct profile_point *point =
        sentry->point == WATCH_NONE
            ? NULL
            : &watch->settings->devices[sentry->device].profile->points[sentry->point];
    return (struct diagnosis_moment){
        .now = clock->mono,
        .wall = clock->wall,
        .wall_is_true = clock->state != CLOCK_STATE_UNSET,
        .rule = sentry->rule,
        .quantity = point ? point->quantity : NULL,
        .unit = point ? point->unit : NULL,
        .roles = sentry->roles,
    };
}

static void diagnose(const struct watch *watch, struct sentry *sentry,
                     const struct watch_clock *clock)
{
    const struct diagnosis_moment moment = watch_moment(watch, sentry, clock);
    sentry->finding = (struct finding){0};
    sentry->diagnosis->step(sentry->memory, &moment, &sentry->finding);
    sentry->level = sentry->finding.level;
}

/* ---- conditions ---- */

static enum judge_truth holds(const struct watch *watch, const struct rule_condition *condition)
{
    const struct watched *point =
        watch_point(watch, condition->point.device, condition->point.point);
    if (!point || !point->input.usable)
        return JUDGE_UNKNOWN;
    double value = point->input.value;
    bool is = condition->kind == RULE_ABOVE   ? value >= condition->value
              : condition->kind == RULE_BELOW ? value <= condition->value
                                              : value == condition->value;
    return is ? JUDGE_TRUE : JUDGE_FALSE;
}

/* What decides: one that is false under `all`, one that is true under `any`. */
static enum judge_truth truth_of(const struct watch *watch, const struct rule *rule)
{
    enum judge_truth decides = rule->kind == RULE_ALL ? JUDGE_FALSE : JUDGE_TRUE;
    enum judge_truth truth = rule->kind == RULE_ALL ? JUDGE_TRUE : JUDGE_FALSE;
    for (size_t i = 0; i < rule->condition_count; i++) {
        enum judge_truth one = holds(watch, &rule->conditions[i]);
        if (one == decides)
            return decides;
        if (one == JUDGE_UNKNOWN)
            truth = JUDGE_UNKNOWN;
    }
    return truth;
}

/* ---- samples ---- */

static double number_of(const struct watched *point, const struct value *value)
{
    return point->divisor > 0 ? (double)value->steps / point->divisor : (double)value->real;
}

static void keep_reading(struct watched *point, int64_t at_ms, double value, uint8_t quality)
{
    point->ring[point->next] = (struct watch_reading){at_ms, value, quality};
    point->next = (uint8_t)((point->next + 1) % WATCH_EVIDENCE);
    if (point->kept < WATCH_EVIDENCE)
        point->kept++;
}

/* True when the value is to be judged. One that jumps is asked for again first, unless that would
 * hide gas. */
static bool is_believed(struct watch *watch, struct watched *point, double number,
                        const struct sample *sample, struct value *value)
{
    if (!point->spike_rule || spike_look(&point->spike, point->spike_rule->spike.value, number,
                                         sample->mono) != SPIKE_SUSPECT)
        return true;
    const struct settings_device *device = &watch->settings->devices[point->device];
    value->quality = QUALITY_SPIKE;
    watch->sink.ask_again(watch->sink.context, point->device);
    return class_never_hidden(device->profile->points[point->point].quantity, number);
}

/* Values that a sensor gives while it warms up or is calibrated say nothing about the world, but
 * gas is gas. */
static bool is_about_the_world(const struct watch *watch, const struct watched *point,
                               enum quality quality, double number)
{
    const struct settings_device *device = &watch->settings->devices[point->device];
    if (quality != QUALITY_WARMUP && quality != QUALITY_CALIBRATING)
        return names_quality_usable(quality);
    return class_never_hidden(device->profile->points[point->point].quantity, number);
}

static void note(struct watch *watch, struct watched *point, const struct sample *sample,
                 struct value *value)
{
    struct diagnosis_input *input = &point->input;
    enum quality quality = value ? (enum quality)value->quality : (enum quality)sample->failure;
    double number = value && names_quality_usable(quality) ? number_of(point, value) : 0;
    bool usable = value && is_about_the_world(watch, point, quality, number) &&
                  is_believed(watch, point, number, sample, value);
    input->usable = usable;
    input->fresh = true;
    if (usable) {
        input->ever = true;
        input->value = number;
        input->at = sample->mono;
    } else {
        input->failed = sample->mono;
    }
    if (value && names_quality_usable(quality))
        keep_reading(point, sample->wall.ms, number, value->quality);
}

/* Its device speaks: from now on there is time to say an alarm of before again. */
static void hear_held(struct sentry *sentry, mono_time now)
{
    if (sentry->held && sentry->held_until.ns == INT64_MAX)
        sentry->held_until = clock_after_ms(now, WATCH_RESETTLE_MS);
}

static void ask(struct watch *watch, struct sentry *sentry, const struct watched *point,
                uint32_t input, const struct watch_clock *clock)
{
    const struct rule *rule = sentry->rule;
    bool own = point->device == sentry->device || sentry->watched == WATCH_NONE;
    if (own && point->input.usable)
        hear_held(sentry, clock->mono);
    if (input != WATCH_NONE) {
        sentry->inputs[input] = point->input;
        diagnose(watch, sentry, clock);
        sentry->inputs[input].fresh = false;
    } else if (rule->kind == RULE_ALL || rule->kind == RULE_ANY) {
        sentry->level = judge_truth(&sentry->judge, truth_of(watch, rule), clock->mono);
    } else if (point->input.usable) {
        sentry->level = judge_value(&sentry->judge, point->input.value, clock->mono);
    } else {
        sentry->level = judge_tick(&sentry->judge, clock->mono);
    }
    watch_settle(watch, sentry, clock);
}

static void ask_all(struct watch *watch, struct watched *point, const struct watch_clock *clock)
{
    for (uint32_t u = 0; u < point->use_count; u++) {
        const struct watch_use *use = &watch->uses[point->first_use + u];
        ask(watch, &watch->sentries[use->sentry], point, use->input, clock);
    }
    point->input.fresh = false;
}

/* Rules of a device as a whole: any good value of it will do. */
static void hear_device(struct watch *watch, uint32_t device, const struct watch_clock *clock)
{
    for (uint32_t i = watch->silent_first[device]; i < watch->silent_first[device + 1]; i++) {
        struct sentry *sentry = &watch->sentries[watch->silent[i]];
        hear_held(sentry, clock->mono);
        sentry->level = judge_value(&sentry->judge, 0, clock->mono);
        watch_settle(watch, sentry, clock);
    }
}

void watch_sample(struct watch *watch, uint32_t block, const struct sample *sample,
                  struct value *values, enum clock_state state)
{
    const struct watch_clock clock = {sample->mono, sample->wall, state};
    const uint32_t *points = &watch->block_points[watch->block_first[block]];
    uint16_t count = watch->plan->blocks[block].point_count;
    bool heard = false;
    for (uint16_t i = 0; i < count; i++) {
        heard |= sample->count && names_quality_usable((enum quality)values[i].quality);
        if (points[i] != WATCH_NONE)
            note(watch, &watch->watched[points[i]], sample, sample->count ? &values[i] : NULL);
    }
    for (uint16_t i = 0; i < count; i++) {
        if (points[i] != WATCH_NONE)
            ask_all(watch, &watch->watched[points[i]], &clock);
    }
    if (heard)
        hear_device(watch, watch->plan->blocks[block].device, &clock);
}

/* ---- time ---- */

mono_time watch_due(const struct watch *watch)
{
    return watch->next;
}

void watch_tick(struct watch *watch, const struct watch_clock *clock)
{
    for (size_t i = 0; i < watch->sentry_count; i++) {
        struct sentry *sentry = &watch->sentries[i];
        if (watch->dues[i] > clock->mono.ns)
            continue;
        if (sentry->diagnosis)
            diagnose(watch, sentry, clock);
        else
            sentry->level = judge_tick(&sentry->judge, clock->mono);
        watch_settle(watch, sentry, clock);
    }
    watch->next = (mono_time){INT64_MAX};
    for (size_t i = 0; i < watch->sentry_count; i++)
        watch->next = clock_earlier(watch->next, (mono_time){watch->dues[i]});
    if (watch->next.ns <= clock->mono.ns)
        watch->next = clock_after_ms(clock->mono, 1);
}

void watch_repeat(const struct watch *watch)
{
    for (uint32_t d = 0; d < watch->settings->device_count; d++)
        watch->sink.boost(watch->sink.context, d, watch->urging[d] > 0);
}

/* ---- people ---- */

void watch_keep_person(struct sentry *sentry, const char *actor, const char *note)
{
    alarm_cut(sentry->actor, sizeof sentry->actor, actor);
    alarm_cut(sentry->note, sizeof sentry->note, note);
}

enum watch_answer watch_ack(struct watch *watch, const char *id, const char *actor,
                            const char *note, const struct watch_clock *clock)
{
    for (size_t i = 0; i < watch->sentry_count; i++) {
        struct sentry *sentry = &watch->sentries[i];
        struct life_step step;
        if (!sentry->life.open || strcmp(sentry->life.id, id) != 0)
            continue;
        if (!life_ack(&sentry->life, &step))
            return WATCH_ALREADY;
        watch_keep_person(sentry, actor, note);
        watch_tell(watch, sentry, &step, clock);
        return WATCH_DONE;
    }
    return WATCH_UNKNOWN;
}

void watch_maintain(struct watch *watch, uint32_t device, mono_time until,
                    const struct watch_clock *clock)
{
    for (uint32_t d = 0; d < watch->settings->device_count; d++) {
        if (device == d || device == WATCH_NONE)
            watch->maintained[d] = until;
    }
    for (size_t i = 0; i < watch->sentry_count; i++) {
        if (watch->sentries[i].device == device || device == WATCH_NONE)
            watch_settle(watch, &watch->sentries[i], clock);
    }
}

uint32_t watch_up(const struct watch *watch, enum sector sector)
{
    return watch->up[sector];
}

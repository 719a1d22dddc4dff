/* A step of an alarm as the event that people and platforms get.
 *
 * Runs in the pipeline thread, for as long as the call of a sink lasts. Puts together what the
 * settings, the rule, the judge or diagnosis and the last readings say; decides nothing.
 * Never says a cause that was not seen, never gives a number without where it comes from. */
#include <stdio.h>
#include <string.h>

#include "drivers/class.h"
#include "gateway/flow/alarm_text.h"
#include "gateway/flow/watch_parts.h"

/* What the texts of one event lie in. */
struct wording {
    char zh[ALARM_TEXT_MAX], en[ALARM_TEXT_MAX], hint[ALARM_TEXT_MAX];
    char names[ALARM_EVIDENCE_MAX][WATCH_KEY_MAX];
    size_t name_count;
};

static enum alarm_kind kind_of(const struct sentry *sentry)
{
    if (sentry->rule->fault || (sentry->diagnosis && sentry->diagnosis->form.fault))
        return ALARM_KIND_DEVICE_FAULT;
    switch (sentry->rule->kind) {
    case RULE_ABOVE:
    case RULE_BELOW:
    case RULE_SUM:
        return ALARM_KIND_THRESHOLD;
    case RULE_RISE:
    case RULE_FALL:
        return ALARM_KIND_RATE;
    case RULE_EQUALS:
    case RULE_ALL:
    case RULE_ANY:
        return ALARM_KIND_STATE;
    case RULE_DIAGNOSE:
        return ALARM_KIND_DIAGNOSIS;
    case RULE_SILENT:
    case RULE_FLAT:
    case RULE_SPIKE:
        break;
    }
    return ALARM_KIND_DEVICE_FAULT;
}

/* ---- evidence ---- */

static void add_reading(const struct watch *watch, const struct watched *point,
                        const struct watch_reading *reading, struct wording *words,
                        struct alarm_event *event)
{
    const struct settings_device *device = &watch->settings->devices[point->device];
    if (event->evidence_count == ALARM_EVIDENCE_MAX)
        return;
    char *name = words->names[words->name_count++];
    snprintf(name, WATCH_KEY_MAX, "%s.%s", device->name,
             device->profile->points[point->point].name);
    event->evidence[event->evidence_count++] = (struct alarm_evidence){
        .point = watch->point_ids[watch->point_first[point->device] + point->point],
        .name = name,
        .at_ms = reading->at_ms,
        .value = reading->value,
        .quality = (enum quality)reading->quality,
    };
}

/* The last readings of a point, oldest first. */
static void add_course(const struct watch *watch, const struct watched *point,
                       struct wording *words, struct alarm_event *event)
{
    for (uint8_t i = 0; i < point->kept; i++) {
        uint8_t at = (uint8_t)((point->next + WATCH_EVIDENCE - point->kept + i) % WATCH_EVIDENCE);
        add_reading(watch, point, &point->ring[at], words, event);
    }
}

static void add_newest(const struct watch *watch, const struct watched *point,
                       struct wording *words, struct alarm_event *event)
{
    if (point && point->kept)
        add_reading(watch, point, &point->ring[(point->next + WATCH_EVIDENCE - 1) % WATCH_EVIDENCE],
                    words, event);
}

static void add_evidence(const struct watch *watch, const struct sentry *sentry,
                         struct wording *words, struct alarm_event *event)
{
    const struct rule *rule = sentry->rule;
    if (sentry->watched != WATCH_NONE)
        add_course(watch, &watch->watched[sentry->watched], words, event);
    for (size_t i = 0; i < sentry->input_count; i++) {
        if (sentry->input_points[i] != sentry->watched)
            add_newest(watch, &watch->watched[sentry->input_points[i]], words, event);
    }
    for (size_t i = 0; i < rule->condition_count; i++)
        add_newest(
            watch,
            watch_point(watch, rule->conditions[i].point.device, rule->conditions[i].point.point),
            words, event);
}

/* ---- numbers ---- */

static int64_t wall_at(const struct watch_clock *clock, mono_time at)
{
    return at.ns ? clock->wall.ms - clock_ms_between(at, clock->mono) : clock->wall.ms;
}

static void add_numbers(const struct watch *watch, const struct sentry *sentry,
                        const struct life_step *step, struct alarm_event *event)
{
    static const struct rule_number none = {.source = ""};
    uint8_t level = step->level ? step->level : step->previous_level;
    const struct rule_number *threshold = &sentry->rule->levels[level];
    if (!threshold->given)
        threshold = &none;
    event->value = watch_worth(watch, sentry);
    event->threshold =
        sentry->diagnosis && sentry->finding.level ? sentry->finding.threshold : threshold->value;
    event->threshold_source = threshold->source ? threshold->source : "";
    event->confidence = sentry->diagnosis ? sentry->finding.confidence : 0;
}

/* ---- words ---- */

/* What a diagnosis of the same point has to say to this alarm: one that only hints, or that sees
 * something now. */
static void add_hint(const struct watch *watch, const struct sentry *sentry,
                     const struct watch_clock *clock, struct wording *words)
{
    char zh[DIAGNOSIS_TEXT_MAX], en[DIAGNOSIS_TEXT_MAX];
    const struct watched *own =
        sentry->watched == WATCH_NONE ? NULL : &watch->watched[sentry->watched];
    for (uint32_t u = 0; own && u < own->use_count && !words->hint[0]; u++) {
        const struct sentry *other = &watch->sentries[watch->uses[own->first_use + u].sentry];
        if (other == sentry || !other->diagnosis || other->watched != sentry->watched)
            continue;
        const struct diagnosis_moment moment = watch_moment(watch, other, clock);
        if (other->diagnosis->form.only_hints || other->finding.level)
            other->diagnosis->tell(other->memory, &moment, &other->finding, zh, en, words->hint);
    }
}

/* Of before a restart only the wall clock knows, if it was set; below 0: nobody does. */
static int64_t lasted_ms(const struct life *life, const struct watch_clock *clock)
{
    if (life->raised.ns)
        return clock_ms_between(life->raised, clock->mono);
    return life->raised_ms < CLOCK_WALL_TRUE_MS ? -1 : clock->wall.ms - life->raised_ms;
}

static void add_words(const struct watch *watch, const struct sentry *sentry,
                      const struct life_step *step, const struct watch_clock *clock,
                      struct wording *words)
{
    const struct alarm_subject subject = {
        .settings = watch->settings,
        .device = sentry->device,
        .point = sentry->point,
        .rule = sentry->rule,
        .status = step->status,
        .level = step->level,
        .previous_level = step->previous_level,
        .value = watch_worth(watch, sentry),
        .lasted_ms = lasted_ms(&sentry->life, clock),
    };
    const struct diagnosis_moment moment = watch_moment(watch, sentry, clock);
    if (sentry->diagnosis && sentry->finding.level) {
        char zh[DIAGNOSIS_TEXT_MAX] = "", en[DIAGNOSIS_TEXT_MAX] = "";
        sentry->diagnosis->tell(sentry->memory, &moment, &sentry->finding, zh, en, words->hint);
        alarm_text_of_diagnosis(&subject, zh, en, words->zh, words->en);
    } else {
        alarm_text(&subject, words->zh, words->en);
    }
    if (!words->hint[0])
        add_hint(watch, sentry, clock, words);
    if (!words->hint[0] && step->flaps)
        snprintf(words->hint, sizeof words->hint,
                 "反复报警：连续第 %u 次，恢复延后报告 / "
                 "flapping: back %u times in a row, its end is told later",
                 step->flaps, step->flaps);
}

/* ---- the event ---- */

static void add_place(const struct watch *watch, const struct sentry *sentry,
                      struct alarm_event *event)
{
    const struct settings *settings = watch->settings;
    const struct settings_device *device = &settings->devices[sentry->device];
    const struct position *position =
        device->position.present ? &device->position : &settings->gateway.position;
    event->gateway = settings->gateway.id;
    event->region = settings->gateway.region;
    event->sector = device->sector;
    event->device = watch->device_ids[sentry->device];
    event->device_name = device->name;
    event->quantity = event->unit = "";
    if (sentry->point != WATCH_NONE) {
        event->point = watch->point_ids[watch->point_first[sentry->device] + sentry->point];
        event->quantity = device->profile->points[sentry->point].quantity;
        event->unit = device->profile->points[sentry->point].unit;
    }
    event->asset = device->asset;
    event->grid = device->grid;
    event->has_position = position->present;
    event->longitude = position->longitude;
    event->latitude = position->latitude;
    event->crs = (uint32_t)settings->gateway.crs;
}

/* An acknowledgement is for what was known: what is worse is to be acknowledged anew. */
static void forget_person(struct sentry *sentry, const struct life_step *step)
{
    if (!step->acked)
        sentry->actor[0] = sentry->note[0] = '\0';
}

void watch_tell(struct watch *watch, struct sentry *sentry, const struct life_step *step,
                const struct watch_clock *clock)
{
    struct wording words = {0};
    struct alarm_event event = {
        .step = step->step,
        .kind = kind_of(sentry),
        .rule = sentry->rule->name,
        .key = sentry->key,
        .level = step->level,
        .previous_level = step->previous_level,
        .status = step->status,
        .peak = rule_is_time(sentry->rule->kind) ? 0 : sentry->peak,
        .peak_ms = sentry->peak_ms,
        .raised_ms = sentry->life.raised_ms,
        .at_ms = clock->wall.ms,
        .cleared_ms = step->status == ALARM_STATUS_CLEARED ? clock->wall.ms : 0,
        .clock = clock->state,
        .text_zh = words.zh,
        .text_en = words.en,
        .hint = words.hint,
        .actor = sentry->actor,
        .note = sentry->note,
    };
    forget_person(sentry, step);
    memcpy(event.id, sentry->life.id, sizeof event.id);
    if (step->step == 1)
        sentry->first_ms =
            wall_at(clock, sentry->diagnosis ? sentry->finding.since : sentry->judge.first);
    event.first_ms = sentry->first_ms;
    add_place(watch, sentry, &event);
    add_numbers(watch, sentry, step, &event);
    add_evidence(watch, sentry, &words, &event);
    add_words(watch, sentry, step, clock, &words);
    watch->sink.emit(watch->sink.context, &event);
}

/* The watch over a restart and over a reload: what was up stays up, what was learned stays known.
 *
 * Runs in the pipeline thread. An alarm is found again by its key; a rule that judges alike goes on
 * counting, one that was changed begins with the level that was told, and its next sample says what
 * is true now. Never tells a RAISED for what was told before. */
#include <stdlib.h>
#include <string.h>

#include "gateway/flow/watch_parts.h"

void watch_start(struct watch *watch, const struct watch_sink *sink, mono_time now)
{
    watch->sink = *sink;
    watch->next = (mono_time){INT64_MAX};
    for (size_t i = 0; i < watch->sentry_count; i++) {
        struct sentry *sentry = &watch->sentries[i];
        watch->dues[i] = INT64_MAX;
        if (sentry->diagnosis)
            continue;
        judge_start(&sentry->judge, sentry->rule, now);
        watch->dues[i] = judge_due(&sentry->judge).ns;
        if (watch->dues[i] < watch->next.ns)
            watch->next.ns = watch->dues[i];
    }
}

/* Begins with a level that was told before; the watch does not know why any more. Where the rule
 * has no latch that stands for it, it is held until something is heard, and a while longer. */
static void resume(struct watch *watch, struct sentry *sentry, mono_time now)
{
    uint8_t level = sentry->life.level;
    if (!sentry->diagnosis)
        judge_restore(&sentry->judge, level, now);
    sentry->level = sentry->diagnosis ? LEVEL_NONE : sentry->judge.level;
    if (!sentry->level) {
        sentry->held = level;
        sentry->held_until = (mono_time){INT64_MAX};
    }
    watch->dues[sentry - watch->sentries] = now.ns;
    watch->next = now;
}

/* The rule under that key; NULL: there is none, or its device is of another sector now: who takes
 * the one need not take the other, so that the alarm ends there and begins anew here. */
static struct sentry *find_heir(const struct watch *watch, const char *key, enum sector sector)
{
    struct sentry *sentry = watch_find(watch, key);
    bool is = sentry && watch->settings->devices[sentry->device].sector == sector;
    return is ? sentry : NULL;
}

bool watch_restore(struct watch *watch, const struct alarm_event *last,
                   const struct watch_clock *clock)
{
    struct sentry *sentry = find_heir(watch, last->key, last->sector);
    struct life_step step;
    if (!sentry)
        return false;
    if (life_end(&sentry->life, clock->mono, clock->wall, &step))
        watch_tell(watch, sentry, &step, clock);
    bool acked = last->actor[0] != '\0';
    life_restore(&sentry->life, last, acked);
    sentry->peak = last->peak;
    sentry->peak_ms = last->peak_ms;
    sentry->first_ms = last->first_ms;
    watch_keep_person(sentry, last->actor, last->note);
    resume(watch, sentry, clock->mono);
    watch_count(watch);
    return true;
}

/* ---- a reload ---- */

static const char *point_name(const struct watch *watch, const struct watched *point)
{
    return watch->settings->devices[point->device].profile->points[point->point].name;
}

static const char *device_name(const struct watch *watch, uint32_t device)
{
    return watch->settings->devices[device].name;
}

/* [device] of the watch before; WATCH_NONE: it is new. */
static uint32_t device_before(const struct watch *before, const char *name)
{
    size_t d = settings_find_device(before->settings, name);
    return d < before->settings->device_count ? (uint32_t)d : WATCH_NONE;
}

static void carry_point(struct watched *point, const struct watched *before)
{
    point->input = before->input;
    point->spike = before->spike;
    memcpy(point->ring, before->ring, sizeof point->ring);
    point->next = before->next;
    point->kept = before->kept;
}

/* Where there is one of the same name and unit. */
static void carry_point_of(const struct watch *watch, struct watched *point,
                           const struct watch *before, uint32_t was)
{
    for (uint32_t p = 0; p < before->settings->devices[was].profile->point_count; p++) {
        const struct watched *old = watch_point(before, was, p);
        if (old && strcmp(point_name(before, old), point_name(watch, point)) == 0 &&
            old->divisor == point->divisor)
            carry_point(point, old);
    }
}

/* Maintenance and points; these lie in the order of the devices. */
static void carry_devices(struct watch *watch, const struct watch *before)
{
    size_t w = 0;
    for (uint32_t d = 0; d < watch->settings->device_count; d++) {
        uint32_t was = device_before(before, device_name(watch, d));
        if (was != WATCH_NONE)
            watch->maintained[d] = before->maintained[was];
        for (; w < watch->watched_count && watch->watched[w].device == d; w++) {
            if (was != WATCH_NONE)
                carry_point_of(watch, &watch->watched[w], before, was);
        }
    }
}

static bool has_same_inputs(const struct watch *watch, const struct sentry *sentry,
                            const struct watch *before, const struct sentry *old)
{
    if (sentry->diagnosis != old->diagnosis || sentry->input_count != old->input_count)
        return false;
    for (size_t i = 0; i < sentry->input_count; i++) {
        const struct watched *a = &watch->watched[sentry->input_points[i]];
        const struct watched *b = &before->watched[old->input_points[i]];
        if (strcmp(point_name(watch, a), point_name(before, b)) != 0 ||
            strcmp(device_name(watch, a->device), device_name(before, b->device)) != 0)
            return false;
    }
    return true;
}

static void carry_sentry(struct watch *watch, struct sentry *sentry, const struct watch *before,
                         const struct sentry *old, mono_time now)
{
    sentry->life = old->life;
    sentry->peak = old->peak;
    sentry->peak_ms = old->peak_ms;
    sentry->first_ms = old->first_ms;
    watch_keep_person(sentry, old->actor, old->note);
    if (!rule_same(sentry->rule, old->rule)) {
        resume(watch, sentry, now);
        if (!sentry->diagnosis && !old->diagnosis)
            judge_inherit(&sentry->judge, &old->judge);
        return;
    }
    sentry->level = old->level;
    sentry->held = old->held;
    sentry->held_until = old->held_until;
    if (!sentry->diagnosis) {
        judge_carry(&sentry->judge, &old->judge);
    } else if (has_same_inputs(watch, sentry, before, old)) {
        memcpy(sentry->memory, old->memory, sentry->diagnosis->memory);
        memcpy(sentry->inputs, old->inputs, sentry->input_count * sizeof *sentry->inputs);
        sentry->finding = old->finding;
    } else {
        resume(watch, sentry, now);
    }
    watch->dues[sentry - watch->sentries] = now.ns;
}

static struct sentry *heir_of(const struct watch *watch, const struct watch *before,
                              const struct sentry *old)
{
    return find_heir(watch, old->key, before->settings->devices[old->device].sector);
}

static void end_those_without_a_rule(const struct watch *watch, struct watch *before,
                                     const struct watch_clock *clock)
{
    for (size_t i = 0; i < before->sentry_count; i++) {
        struct sentry *old = &before->sentries[i];
        struct life_step step;
        if (!heir_of(watch, before, old) && life_end(&old->life, clock->mono, clock->wall, &step))
            watch_tell(before, old, &step, clock);
    }
}

void watch_carry(struct watch *watch, struct watch *before, const struct watch_clock *clock)
{
    carry_devices(watch, before);
    for (size_t i = 0; i < before->sentry_count; i++) {
        const struct sentry *old = &before->sentries[i];
        struct sentry *sentry = heir_of(watch, before, old);
        if (sentry)
            carry_sentry(watch, sentry, before, old, clock->mono);
    }
    end_those_without_a_rule(watch, before, clock);
    watch_count(watch);
    watch->next = clock->mono;
    watch_tick(watch, clock);
    watch_repeat(watch);
}

/* ---- what was learned ---- */

static size_t save(const struct watch *watch, const struct sentry *sentry,
                   const struct watch_clock *clock, uint8_t out[WATCH_MEMORY_MAX])
{
    if (!sentry->diagnosis)
        return judge_save(&sentry->judge, clock->mono, clock->wall, out, WATCH_MEMORY_MAX);
    if (!sentry->diagnosis->save)
        return 0;
    const struct diagnosis_moment moment = watch_moment(watch, sentry, clock);
    return sentry->diagnosis->save(sentry->memory, &moment, out, WATCH_MEMORY_MAX);
}

bool watch_save(const struct watch *watch, size_t *at, const struct watch_clock *clock,
                const char **name, uint8_t out[WATCH_MEMORY_MAX], size_t *length)
{
    for (; *at < watch->sentry_count; ++*at) {
        const struct sentry *sentry = &watch->sentries[*at];
        *length = save(watch, sentry, clock, out);
        if (!*length)
            continue;
        *name = sentry->key;
        ++*at;
        return true;
    }
    return false;
}

void watch_load(struct watch *watch, const char *name, const uint8_t *bytes, size_t length,
                const struct watch_clock *clock)
{
    struct sentry *sentry = watch_find(watch, name);
    if (!sentry)
        return;
    if (!sentry->diagnosis) {
        /* what cannot be used is as if nothing were known */
        (void)!judge_load(&sentry->judge, clock->mono, clock->wall, bytes, length);
        return;
    }
    if (!sentry->diagnosis->load)
        return;
    const struct diagnosis_moment moment = watch_moment(watch, sentry, clock);
    if (!sentry->diagnosis->load(sentry->memory, &moment, bytes, length))
        memset(sentry->memory, 0, sentry->diagnosis->memory);
}

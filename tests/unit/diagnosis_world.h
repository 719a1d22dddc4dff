/* A diagnosis as the watch keeps it: a rule, inputs, memory and a clock that the test moves.
 *
 * Every step is checked for what must always hold: a level of the rule's table, a due that lies
 * ahead, percent, texts that are whole UTF-8. */
#ifndef LIFELINE_DIAGNOSIS_WORLD_H
#define LIFELINE_DIAGNOSIS_WORLD_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/class.h"
#include "drivers/diagnosis.h"

#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define MONDAY ((int64_t)1767542400000) /* Monday 2026-01-05 00:00 of China, in UTC ms */

struct diagnosis_world {
    const struct diagnosis *diagnosis;
    struct rule rule;
    struct diagnosis_input inputs[RULE_ROLES_MAX][RULE_ROLE_POINTS_MAX];
    struct diagnosis_role_inputs roles[RULE_ROLES_MAX];
    const char *quantity, *unit;
    void *memory;
    struct finding finding;
    mono_time now;
    int64_t wall_ms; /* of now */
    bool wall_is_true;
    char zh[DIAGNOSIS_TEXT_MAX], en[DIAGNOSIS_TEXT_MAX], hint[DIAGNOSIS_TEXT_MAX];
};

static inline void world_start(struct diagnosis_world *world, enum sector sector, const char *name)
{
    const struct diagnosis_form *form = diagnosis_form_of(sector, name);
    assert_non_null(form);
    *world = (struct diagnosis_world){.diagnosis = diagnosis_of(form),
                                      .now = {1000 * SECOND * 1000000},
                                      .wall_ms = MONDAY + 12 * HOUR,
                                      .wall_is_true = true};
    world->rule.name = name;
    world->rule.kind = RULE_DIAGNOSE;
    world->rule.diagnosis = form;
    world->memory = calloc(1, world->diagnosis->memory);
    for (size_t r = 0; r < form->role_count; r++) {
        world->roles[r].inputs = world->inputs[r];
        world->roles[r].count = form->roles[r].required ? 1 : 0;
    }
}

static inline void world_end(struct diagnosis_world *world)
{
    free(world->memory);
    world->memory = NULL;
}

static inline void world_level(struct diagnosis_world *world, enum level level, double number)
{
    world->rule.levels[level] = (struct rule_number){.given = true, .value = number};
}

static inline void world_param(struct diagnosis_world *world, const char *key, double value)
{
    const struct diagnosis_form *form = &world->diagnosis->form;
    for (size_t p = 0; p < form->param_count; p++) {
        if (strcmp(form->params[p].key, key) != 0)
            continue;
        assert_true(value >= form->params[p].min && value <= form->params[p].max);
        world->rule.params[p] = (struct rule_number){.given = true, .value = value};
        return;
    }
    fail_msg("no parameter %s", key);
}

static inline size_t world_role(const struct diagnosis_world *world, const char *name)
{
    const struct diagnosis_form *form = &world->diagnosis->form;
    for (size_t r = 0; r < form->role_count; r++) {
        if (strcmp(form->roles[r].name, name) == 0)
            return r;
    }
    fail_msg("no role %s", name);
    return 0;
}

static inline void world_play(struct diagnosis_world *world, const char *role, size_t count)
{
    world->roles[world_role(world, role)].count = count;
}

static inline struct diagnosis_moment world_moment(const struct diagnosis_world *world)
{
    return (struct diagnosis_moment){.now = world->now,
                                     .wall = {world->wall_ms},
                                     .wall_is_true = world->wall_is_true,
                                     .rule = &world->rule,
                                     .quantity = world->quantity,
                                     .unit = world->unit,
                                     .roles = world->roles};
}

static inline void world_check_text(const char *text)
{
    size_t length = strnlen(text, DIAGNOSIS_TEXT_MAX);
    assert_true(length < DIAGNOSIS_TEXT_MAX);
    for (size_t i = 0; i < length;) {
        unsigned char lead = (unsigned char)text[i];
        size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        assert_true(lead < 0x80 || lead >= 0xc0);
        assert_true(i + whole <= length);
        for (size_t k = 1; k < whole; k++)
            assert_true(((unsigned char)text[i + k] & 0xc0) == 0x80);
        i += whole;
    }
}

static inline void world_tell(struct diagnosis_world *world)
{
    const struct diagnosis_moment moment = world_moment(world);
    memset(world->zh, 'x', sizeof world->zh);
    memset(world->en, 'x', sizeof world->en);
    memset(world->hint, 'x', sizeof world->hint);
    world->diagnosis->tell(world->memory, &moment, &world->finding, world->zh, world->en,
                           world->hint);
    world_check_text(world->zh);
    world_check_text(world->en);
    world_check_text(world->hint);
}

static inline void world_step(struct diagnosis_world *world)
{
    const struct diagnosis_moment moment = world_moment(world);
    struct finding *finding = &world->finding;
    *finding = (struct finding){0};
    world->diagnosis->step(world->memory, &moment, finding);
    assert_true(finding->level < LEVEL_COUNT);
    assert_true(finding->level == LEVEL_NONE || world->rule.levels[finding->level].given);
    assert_true(finding->confidence <= 100);
    assert_true(finding->due.ns == 0 || finding->due.ns > world->now.ns);
    assert_true(finding->since.ns <= world->now.ns);
    if (finding->level || world->diagnosis->form.only_hints)
        world_tell(world);
}

static inline void world_sample(struct diagnosis_world *world, const char *role, size_t i,
                                const double *value)
{
    size_t r = world_role(world, role);
    struct diagnosis_input *input = &world->inputs[r][i];
    assert_true(i < world->roles[r].count);
    input->fresh = true;
    input->usable = value != NULL;
    if (value) {
        input->ever = true;
        input->value = *value;
        input->at = world->now;
    } else {
        input->failed = world->now;
    }
    world_step(world);
    input->fresh = false;
}

static inline void world_say(struct diagnosis_world *world, const char *role, double value)
{
    world_sample(world, role, 0, &value);
}

static inline void world_say_nth(struct diagnosis_world *world, const char *role, size_t i,
                                 double value)
{
    world_sample(world, role, i, &value);
}

static inline void world_fail(struct diagnosis_world *world, const char *role)
{
    world_sample(world, role, 0, NULL);
}

/* Time passes; the diagnosis is called when it asked for. */
static inline void world_wait(struct diagnosis_world *world, int64_t ms)
{
    mono_time until = clock_after_ms(world->now, ms);
    int64_t wall_ms = world->wall_ms + ms;
    while (world->finding.due.ns && world->finding.due.ns <= until.ns) {
        world->wall_ms += clock_ms_between(world->now, world->finding.due);
        world->now = world->finding.due;
        world_step(world);
    }
    world->now = until;
    world->wall_ms = wall_ms;
}

/* `count` samples of one value, `apart` after each. */
static inline void world_repeat(struct diagnosis_world *world, const char *role, double value,
                                int count, int64_t apart)
{
    for (int i = 0; i < count; i++) {
        world_say(world, role, value);
        world_wait(world, apart);
    }
}

/* The process ends and another one takes up what was saved; false when there was nothing. */
static inline bool world_restart(struct diagnosis_world *world, int64_t away_ms)
{
    uint8_t bytes[8192];
    struct diagnosis_moment moment = world_moment(world);
    size_t length = world->diagnosis->save
                        ? world->diagnosis->save(world->memory, &moment, bytes, sizeof bytes)
                        : 0;
    memset(world->memory, 0, world->diagnosis->memory);
    for (size_t r = 0; r < RULE_ROLES_MAX; r++) {
        for (size_t i = 0; i < RULE_ROLE_POINTS_MAX; i++)
            world->inputs[r][i] = (struct diagnosis_input){0};
    }
    world->finding = (struct finding){0};
    world->now.ns = 5 * SECOND * 1000000; /* a new boot */
    world->wall_ms += away_ms;
    moment = world_moment(world);
    if (length)
        assert_true(world->diagnosis->load(world->memory, &moment, bytes, length));
    world_step(world);
    return length > 0;
}

#endif

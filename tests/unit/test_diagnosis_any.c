/* Every diagnosis of every class: its form is sound, and no input makes it crash or want a level
 * that its rule does not give.
 *
 * Random samples, gaps, clocks and saved bytes; the seed is printed (LIFELINE_SEED repeats it). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/diagnosis_world.h"

static uint64_t seed;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static bool one_in(unsigned n)
{
    return next_random() % n == 0;
}

static double random_between(double low, double high)
{
    return low + (high - low) * ((double)(next_random() % 1000001) / 1e6);
}

static void forms_are_sound(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t d = 0; d < class->diagnosis_count; d++) {
            const struct diagnosis *diagnosis = class->diagnoses[d];
            const struct diagnosis_form *form = &diagnosis->form;
            assert_ptr_equal(diagnosis_form_of((enum sector)s, form->name), form);
            assert_ptr_equal(diagnosis_of(form), diagnosis);
            assert_true(form->param_count <= RULE_PARAMS_MAX);
            assert_true(form->role_count >= 1 && form->role_count <= RULE_ROLES_MAX);
            assert_true(form->of_device || form->roles[0].required);
            assert_true(strlen(form->title_zh) > 0 && strlen(form->title_en) > 0);
            assert_true(strlen(form->levels_mean.zh) > 0 && strlen(form->levels_mean.en) > 0);
            assert_non_null(diagnosis->step);
            assert_non_null(diagnosis->tell);
            assert_true((diagnosis->save == NULL) == (diagnosis->load == NULL));
            for (size_t p = 0; p < form->param_count; p++)
                assert_true(form->params[p].min < form->params[p].max);
        }
    }
    assert_null(diagnosis_form_of(SECTOR_WATER, "onset"));
    assert_null(diagnosis_form_of(SECTOR_UNSPECIFIED, "burst"));
}

/* A class that has the quantity of a role, so that somebody can play it. */
static void every_role_can_be_played(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t d = 0; d < class->diagnosis_count; d++) {
            const struct diagnosis_form *form = &class->diagnoses[d]->form;
            for (size_t r = 0; r < form->role_count; r++) {
                const struct diagnosis_role *role = &form->roles[r];
                bool is_own = !role->elsewhere && role->required && role->quantity;
                if (is_own)
                    assert_true(
                        class_quantity((enum sector)s, role->quantity) ||
                        (role->alternative && class_quantity((enum sector)s, role->alternative)));
            }
        }
    }
}

/* ---- anything at all ---- */

static void choose_rule(struct diagnosis_world *world)
{
    const struct diagnosis_form *form = &world->diagnosis->form;
    double number = random_between(0, 60);
    bool has_level = false;
    for (uint8_t level = LEVEL_BLUE; level >= LEVEL_RED; level--) {
        if (form->only_hints || (!one_in(2) && (has_level || level > LEVEL_RED)))
            continue;
        world_level(world, level, number);
        number += random_between(0, 30);
        has_level = true;
    }
    if (one_in(2))
        world->rule.hysteresis = (struct rule_number){.given = true, .value = random_between(0, 5)};
    for (size_t p = 0; p < form->param_count; p++) {
        const struct diagnosis_param *param = &form->params[p];
        double max = one_in(3) ? param->max : param->min + (param->max - param->min) / 1000;
        double value = floor(random_between(param->min, max));
        if (param->required || one_in(2))
            world_param(world, param->key, value < param->min ? param->min : value);
    }
    for (size_t r = 0; r < form->role_count; r++) {
        const struct diagnosis_role *role = &form->roles[r];
        size_t most = role->many || role->siblings ? RULE_ROLE_POINTS_MAX : 1;
        world->roles[r].count = (role->required ? 1 : 0) + (size_t)next_random() % most;
        if (!role->required && one_in(2))
            world->roles[r].count = most;
    }
    if (one_in(2))
        world->quantity = one_in(2) ? "ch4" : "lel";
    if (one_in(2))
        world->unit = "mm";
}

static double random_value(void)
{
    static const double odd[] = {0, -0.0, 1e-300, 1e300, -1e300, 1e9, -1e9, 1, 1.7e308, 0.5};
    switch (next_random() % 12) {
    case 0:
        return odd[next_random() % (sizeof odd / sizeof odd[0])];
    case 1:
        return one_in(2) ? (double)NAN : one_in(2) ? (double)INFINITY : -(double)INFINITY;
    case 2:
        return random_between(-100, 100);
    default:
        return random_between(0, 80);
    }
}

static void move_clock(struct diagnosis_world *world)
{
    switch (next_random() % 8) {
    case 0:
        world_wait(world, (int64_t)(next_random() % (uint64_t)DAY));
        break;
    case 1:
        world->wall_ms += (int64_t)(next_random() % (uint64_t)(40 * DAY)) - 20 * DAY;
        break;
    case 2:
        world->wall_is_true = !one_in(4);
        break;
    case 3:
        if (one_in(50))
            world->wall_ms = one_in(2) ? INT64_MAX / 2 : -INT64_MAX / 2;
        else if (one_in(10))
            world->wall_ms = MONDAY;
        break;
    default:
        world_wait(world, (int64_t)(next_random() % (uint64_t)(10 * MINUTE)));
    }
}

static void try_bytes(struct diagnosis_world *world)
{
    uint8_t bytes[1024];
    const struct diagnosis_moment moment = world_moment(world);
    size_t length = world->diagnosis->save(world->memory, &moment, bytes, sizeof bytes);
    if (length && !one_in(4)) {
        for (uint64_t i = 1 + next_random() % 3; i > 0; i--)
            bytes[(size_t)next_random() % length] ^= (uint8_t)(1u << (next_random() % 8));
        if (one_in(3))
            length = (size_t)next_random() % (length + 1);
    } else if (one_in(2)) {
        length = (size_t)next_random() % sizeof bytes;
        for (size_t i = 0; i < length; i++)
            bytes[i] = one_in(3) ? 0 : (uint8_t)next_random();
        bytes[0] = 1;
    }
    uint8_t *exact = malloc(length + 1); /* so that a byte too far is seen */
    memcpy(exact, bytes, length);
    exact = realloc(exact, length ? length : 1);
    if (!world->diagnosis->load(world->memory, &moment, exact, length))
        memset(world->memory, 0, world->diagnosis->memory);
    free(exact);
}

static void one_life(enum sector sector, const char *name, int steps)
{
    struct diagnosis_world world;
    world_start(&world, sector, name);
    choose_rule(&world);
    for (int i = 0; i < steps; i++) {
        size_t r = (size_t)next_random() % world.diagnosis->form.role_count;
        if (world.roles[r].count > 0) {
            double value = random_value();
            size_t point = (size_t)next_random() % world.roles[r].count;
            for (uint64_t k = next_random() % 4; k < 4; k++)
                world_sample(&world, world.diagnosis->form.roles[r].name, point,
                             one_in(8) ? NULL : &value);
        }
        move_clock(&world);
        if (world.diagnosis->save && one_in(40))
            try_bytes(&world);
        if (one_in(200))
            world_step(&world);
    }
    world_end(&world);
}

static void nothing_makes_one_crash_or_go_beyond_its_table(void **state)
{
    (void)state;
    for (unsigned s = SECTOR_GAS; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t d = 0; d < class->diagnosis_count; d++) {
            for (int life = 0; life < 60; life++)
                one_life((enum sector)s, class->diagnoses[d]->form.name, 500);
        }
    }
}

/* Nights that are whole, so that what needs weeks of them comes to a judgement: 26 samples from one
 * o'clock on, some of them bad, and now and then bytes in between. */
static unsigned nights_of_levels(enum sector sector, const char *name)
{
    struct diagnosis_world world;
    unsigned nights = 0;
    double low = 5;
    world_start(&world, sector, name);
    world_level(&world, LEVEL_YELLOW, 1.1 + random_between(0, 1));
    world_level(&world, LEVEL_RED, 2.5);
    world_param(&world, "nights", 7 + (double)(next_random() % 5));
    for (int night = 0; night < 60; night++) {
        world_wait(&world, (25 * HOUR - (world.wall_ms - MONDAY) % DAY) % DAY);
        low += random_between(-0.4, one_in(2) ? 0.7 : 0.5);
        for (int i = 0; i < 26; i++) {
            double value = one_in(200) ? random_value() : low + random_between(0, 0.2);
            world_sample(&world, world.diagnosis->form.roles[0].name, 0,
                         one_in(50) ? NULL : &value);
            world_wait(&world, 10 * MINUTE);
        }
        nights += world.finding.level != LEVEL_NONE;
        if (one_in(30))
            try_bytes(&world);
    }
    world_end(&world);
    return nights;
}

static void nights_with_anything_in_them(void **state)
{
    (void)state;
    unsigned leaks = 0, drifts = 0;
    for (int life = 0; life < 60; life++) {
        leaks += nights_of_levels(SECTOR_WATER, "night_leak");
        drifts += nights_of_levels(SECTOR_GAS, "drift");
    }
    assert_true(leaks > 0 && drifts > 0);
}

/* Little room for what was learned: nothing is written beyond it, and half of it is not taken. */
static void a_small_buffer_is_respected(void **state)
{
    (void)state;
    struct diagnosis_world world;
    world_start(&world, SECTOR_MANHOLE, "cover_opened");
    world_play(&world, "tilt", 3);
    world_level(&world, LEVEL_ORANGE, 10);
    world_param(&world, "held", 1000);
    for (size_t i = 0; i < 3; i++)
        world_say_nth(&world, "tilt", i, 1);
    const struct diagnosis_moment moment = world_moment(&world);
    uint8_t whole[256];
    size_t length = world.diagnosis->save(world.memory, &moment, whole, sizeof whole);
    assert_true(length > 0);
    for (size_t room = 0; room < length; room++) {
        uint8_t *exact = malloc(room + 1);
        uint8_t *tight = realloc(exact, room ? room : 1);
        assert_int_equal(world.diagnosis->save(world.memory, &moment, tight, room), 0);
        free(tight);
        assert_false(world.diagnosis->load(world.memory, &moment, whole, room));
    }
    assert_true(world.diagnosis->load(world.memory, &moment, whole, length));
    world_end(&world);
}

int main(void)
{
    const char *given = getenv("LIFELINE_SEED");
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)t.tv_nsec * 2654435761u + 1;
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_sound),
        cmocka_unit_test(every_role_can_be_played),
        cmocka_unit_test(nothing_makes_one_crash_or_go_beyond_its_table),
        cmocka_unit_test(nights_with_anything_in_them),
        cmocka_unit_test(a_small_buffer_is_respected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

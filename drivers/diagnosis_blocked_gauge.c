/* A rain gauge that counts nothing while its neighbours do.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S55]. Never takes a gauge that is silent for one that says 0. */
#include "drivers/diagnosis_parts.h"
#include "drivers/diagnosis_bytes.h"
#include "drivers/diagnosis_rain.h"

enum role { RAIN, NEIGHBOURS };
enum param { WINDOW };

static const struct diagnosis_param params[] = {
    [WINDOW] = {"window",
                true,
                true,
                600e3,
                7 * 86400e3,
                {"比较这么久的雨量", "the rain of so long is compared"}},
};

static const struct diagnosis_role roles[] = {
    [RAIN] = {.name = "rain", .quantity = "rain", .required = true},
    [NEIGHBOURS] = {.name = "neighbours", .quantity = "rain", .required = true, .many = true},
};

/*           nothing counted here in all of `window`,
 *           while a neighbour counted a level's number
 *      CALM ------------------------------------------> BLOCKED: level by the wettest neighbour
 *       ^                                                  |
 *       +---- it counts, or is set to another number ------+
 *
 * Both have to be known for all of the window. It stays blocked when the rain is over. Confidence:
 * one neighbour 60, two 70, more 80; 20 less when another neighbour is as dry as this one: rain can
 * be local. */
struct memory {
    struct diagnosis_rain own, neighbours[RULE_ROLE_POINTS_MAX];
    bool blocked;
    double value; /* of the own counter then */
    double most;
    uint32_t wet, dry;
    uint8_t level;
    mono_time since;
};

enum { SAVED_AS = 1 };

static void compare(struct memory *memory, const struct diagnosis_moment *moment)
{
    const struct diagnosis_role_inputs *role = &moment->roles[NEIGHBOURS];
    const struct diagnosis_input *rain = diagnosis_player(moment, RAIN);
    int64_t window = diagnosis_ms(moment, WINDOW);
    double least = moment->rule->levels[diagnosis_least(moment->rule)].value, most = 0;
    uint32_t wet = 0, dry = 0;
    if (!diagnosis_rain_is_known(&memory->own, rain, moment->now, window) ||
        diagnosis_rain_sum(&memory->own, moment->now, window) > 0)
        return;
    for (size_t i = 0; i < role->count && i < RULE_ROLE_POINTS_MAX; i++) {
        const struct diagnosis_rain *gauge = &memory->neighbours[i];
        double sum = diagnosis_rain_sum(gauge, moment->now, window);
        if (!diagnosis_rain_is_known(gauge, &role->inputs[i], moment->now, window))
            continue;
        wet += sum >= least;
        dry += !(sum > 0);
        most = sum > most ? sum : most;
    }
    if (wet == 0)
        return;
    if (!memory->blocked) {
        memory->since = moment->now;
        memory->level = LEVEL_NONE;
    }
    uint8_t level = diagnosis_follow(moment->rule, memory->level, most);
    if (memory->blocked && level >= memory->level && wet <= memory->wet)
        return;
    memory->blocked = true;
    memory->value = memory->own.value;
    memory->level = level;
    memory->most = most > memory->most ? most : memory->most;
    memory->wet = wet;
    memory->dry = dry;
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct diagnosis_role_inputs *role = &moment->roles[NEIGHBOURS];
    const struct diagnosis_input *rain = diagnosis_player(moment, RAIN);
    int64_t window = diagnosis_ms(moment, WINDOW);
    diagnosis_rain_hear(&memory->own, rain, window);
    for (size_t i = 0; i < role->count && i < RULE_ROLE_POINTS_MAX; i++)
        diagnosis_rain_hear(&memory->neighbours[i], &role->inputs[i], window);
    *out = (struct finding){0};
    if (memory->blocked && diagnosis_is_heard(rain) && rain->value != memory->value) {
        memory->blocked = false;
        memory->most = 0;
    }
    compare(memory, moment);
    if (!memory->blocked)
        return;
    out->level = diagnosis_follow(moment->rule, LEVEL_NONE, memory->most);
    out->value = memory->most;
    out->threshold = moment->rule->levels[out->level].value;
    out->since = memory->since;
    out->confidence = (uint8_t)((memory->wet > 2   ? 80
                                 : memory->wet > 1 ? 70
                                                   : 60) -
                                (memory->dry > 0 ? 20 : 0));
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct memory *memory = state;
    int64_t window = diagnosis_ms(moment, WINDOW);
    struct diagnosis_word most = diagnosis_word(memory->most, 1);
    (void)finding;
    diagnosis_say(zh, "%s内本站雨量 0，邻站 %s 毫米（%u 站），疑似雨量计堵塞",
                  diagnosis_word_ms(window, true).text, most.text, (unsigned)memory->wet);
    diagnosis_say(en, "no rain counted in %s, %s mm at a neighbour (%u of them): suspected blocked",
                  diagnosis_word_ms(window, false).text, most.text, (unsigned)memory->wet);
    diagnosis_say(hint, "%s",
                  memory->dry > 0
                      ? "另有邻站无雨，可能为局地降雨 / another neighbour is dry: it may "
                        "be local rain"
                      : "");
}

/* It stays blocked over a restart, until the counter says otherwise. */
static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (!memory->blocked)
        return 0;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    diagnosis_bytes_put_real(&bytes, memory->value);
    diagnosis_bytes_put_real(&bytes, memory->most);
    diagnosis_bytes_put(&bytes, memory->wet, 1);
    diagnosis_bytes_put(&bytes, memory->dry, 1);
    return diagnosis_bytes_written(&bytes);
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {.blocked = true, .since = moment->now};
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    loaded.value = diagnosis_bytes_get_real(&bytes);
    loaded.most = diagnosis_bytes_get_real(&bytes);
    loaded.wet = (uint32_t)diagnosis_bytes_get(&bytes, 1);
    loaded.dry = (uint32_t)diagnosis_bytes_get(&bytes, 1);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    loaded.level = diagnosis_follow(moment->rule, LEVEL_NONE, loaded.most);
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_blocked_gauge = {
    .form = {.name = "blocked_gauge",
             .title_zh = "雨量计疑似堵塞",
             .title_en = "rain gauge suspected blocked",
             .levels_mean = {"mm，邻近雨量计，本处无雨", "mm at a neighbour while here is none"},
             .fault = true,
             .params = params,
             .param_count = DIAGNOSIS_COUNT(params),
             .roles = roles,
             .role_count = DIAGNOSIS_COUNT(roles)},
    .memory = sizeof(struct memory),
    .step = step,
    .tell = tell,
    .save = save,
    .load = load,
};

/* Sewer gas or a leak? A score beside a gas alarm, nothing more.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S54]. Never wants a level, and never weakens one: at 20 %LEL and above
 * it is silent. */
#include "drivers/class.h"
#include "drivers/diagnosis_night.h"
#include "drivers/diagnosis_parts.h"

enum role { GAS, H2S };
enum param { RISING, H2S_FROM, DAYS };

static const struct diagnosis_param params[] = {
    [RISING] = {"rising",
                false,
                true,
                0,
                1000,
                {"10 分钟上升这么多（单位同气体测点）：比沼气积聚快",
                 "of the gas's unit in 10 minutes: faster than sewer gas comes"}},
    [H2S_FROM] = {"h2s_from",
                  false,
                  true,
                  0,
                  1000,
                  {"硫化氢达到这么多 mg/m³ 算有", "mg/m³ of hydrogen sulphide that are present"}},
    [DAYS] = {"days",
              false,
              true,
              2,
              30,
              {"多少天之后才看日变化", "days after which its daily course counts"}},
};

static const struct diagnosis_role roles[] = {
    [GAS] = {.name = "gas", .quantity = "ch4", .alternative = "lel", .required = true},
    [H2S] = {.name = "h2s", .quantity = "h2s"},
};

/* The score begins at 50, and tells how much speaks for sewer gas:
 *
 *     rose by `rising` in 10 minutes, within the last day     -40   leaks come fast
 *     did not, in a whole day                                 +15
 *     hydrogen sulphide at or above `h2s_from`                +20   both come from sewage
 *     below it                                                -15
 *     a daily course, after `days` days                       +15   sewage warms and cools
 *     none, after `days` days                                 -15
 *
 * A daily course: the hours of the day differ by more than one hour differs from day to day. What
 * would decide, ethane, is not measured: the hint says so each time. */
enum { RISE_MINUTES = 10, HOURS = 24, DAY_MS = 86400000, HOUR_MS = 3600000, SAVED_AS = 1 };

/* One hour of the day, over the days. */
struct hour {
    uint32_t days;
    double mean, spread; /* variance between days */
};

struct memory {
    uint32_t heard; /* samples, up to 3 */
    double values[2];
    mono_time times[2];                /* of the two before */
    int64_t minutes[RISE_MINUTES + 1]; /* monotonic, of lows */
    double lows[RISE_MINUTES + 1];
    mono_time since, rose; /* first sample; newest fast rise */
    int64_t hour;          /* local, since 1970; the one that is going on */
    uint32_t samples;      /* in it */
    double sum;
    struct hour hours[HOURS];
};

/* The median of three samples stands for the one in the middle: no spike is a rise. */
static void hear_rise(struct memory *memory, const struct diagnosis_moment *moment,
                      const struct diagnosis_input *gas)
{
    double three[3] = {memory->values[0], memory->values[1], gas->value};
    mono_time middle_at = memory->times[1];
    memory->values[0] = memory->values[1];
    memory->times[0] = memory->times[1];
    memory->values[1] = gas->value;
    memory->times[1] = gas->at;
    if (memory->heard == 0)
        memory->since = gas->at;
    memory->heard += memory->heard < 3;
    if (memory->heard < 3)
        return;
    double middle = diagnosis_median(three, 3);
    int64_t minute = clock_mono_ms(middle_at) / 60000;
    size_t slot = (size_t)((uint64_t)minute % (RISE_MINUTES + 1));
    for (size_t i = 0; i <= RISE_MINUTES; i++) {
        bool is_recent = memory->minutes[i] != 0 && minute - memory->minutes[i] <= RISE_MINUTES;
        if (is_recent && middle - memory->lows[i] >= diagnosis_number(moment, RISING))
            memory->rose = gas->at;
    }
    if (memory->minutes[slot] != minute || middle < memory->lows[slot])
        memory->lows[slot] = middle;
    memory->minutes[slot] = minute;
}

static void end_hour(struct memory *memory)
{
    struct hour *hour = &memory->hours[(uint64_t)memory->hour % HOURS];
    double mean = memory->sum / memory->samples;
    uint32_t weight = hour->days < 29 ? hour->days + 1 : 30;
    double off = mean - hour->mean, part = 1.0 / weight;
    hour->mean += part * off;
    hour->spread = (1 - part) * (hour->spread + part * off * off);
    hour->days = weight;
}

static void hear_hour(struct memory *memory, const struct diagnosis_moment *moment,
                      const struct diagnosis_input *gas)
{
    if (!moment->wall_is_true || moment->wall.ms < 0 ||
        moment->wall.ms / DAY_MS > DIAGNOSIS_DAY_MAX) {
        memory->samples = 0;
        return;
    }
    int64_t hour = (moment->wall.ms + DIAGNOSIS_ZONE_MS) / HOUR_MS;
    if (memory->samples > 0 && hour != memory->hour) {
        if (hour > memory->hour)
            end_hour(memory);
        memory->samples = 0;
    }
    if (memory->samples == 0)
        memory->sum = 0;
    memory->hour = hour;
    memory->sum += gas->value;
    memory->samples++;
}

enum course { COURSE_UNKNOWN, COURSE_NONE, COURSE_DAILY };

static enum course course_of(const struct memory *memory, const struct diagnosis_moment *moment)
{
    double mean = 0, between = 0, within = 0;
    for (size_t i = 0; i < HOURS; i++) {
        if (memory->hours[i].days < diagnosis_number(moment, DAYS))
            return COURSE_UNKNOWN;
        mean += memory->hours[i].mean / HOURS;
        within += memory->hours[i].spread / HOURS;
    }
    for (size_t i = 0; i < HOURS; i++)
        between += (memory->hours[i].mean - mean) * (memory->hours[i].mean - mean) / HOURS;
    return between > within ? COURSE_DAILY : COURSE_NONE;
}

/* What speaks for and against. */
struct evidence {
    bool is_fast, is_slow, has_h2s, is_h2s;
    enum course course;
    int score;
};

static struct evidence weigh(const struct memory *memory, const struct diagnosis_moment *moment)
{
    const struct diagnosis_input *h2s = diagnosis_player(moment, H2S);
    struct evidence found = {.score = 50, .course = course_of(memory, moment)};
    found.is_fast = memory->rose.ns && clock_ms_between(memory->rose, moment->now) <= DAY_MS;
    found.is_slow =
        !found.is_fast && memory->heard && clock_ms_between(memory->since, moment->now) >= DAY_MS;
    found.has_h2s = diagnosis_is_known(h2s);
    found.is_h2s = found.has_h2s && h2s->value >= diagnosis_number(moment, H2S_FROM);
    found.score += found.is_fast ? -40 : found.is_slow ? 15 : 0;
    found.score += found.is_h2s ? 20 : found.has_h2s ? -15 : 0;
    found.score += found.course == COURSE_DAILY ? 15 : found.course == COURSE_NONE ? -15 : 0;
    found.score = found.score < 0 ? 0 : found.score;
    return found;
}

/* Whatever it looks like, from there on it is a gas alarm and nothing else. When the quantity is
 * not known, as if it were the stricter one. */
static bool is_beyond_hints(const struct diagnosis_moment *moment)
{
    const struct diagnosis_input *gas = diagnosis_player(moment, GAS);
    const char *quantity = moment->quantity ? moment->quantity : "ch4";
    return !gas || !diagnosis_is_known(gas) || class_never_hidden(quantity, gas->value);
}

static void step(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct memory *memory = state;
    const struct diagnosis_input *gas = diagnosis_player(moment, GAS);
    *out = (struct finding){.level = LEVEL_NONE};
    if (diagnosis_is_heard(gas)) {
        hear_rise(memory, moment, gas);
        hear_hour(memory, moment, gas);
    }
    if (!is_beyond_hints(moment))
        out->confidence = (uint8_t)weigh(memory, moment).score;
}

static void tell(const void *state, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    zh[0] = en[0] = hint[0] = '\0';
    (void)finding;
    if (is_beyond_hints(moment))
        return;
    struct evidence found = weigh(state, moment);
    diagnosis_say(zh, "沼气可能性 %d%%%s%s%s；未测乙烷", found.score,
                  found.is_fast   ? "，曾快升"
                  : found.is_slow ? "，无快升"
                                  : "",
                  found.is_h2s    ? "，有硫化氢"
                  : found.has_h2s ? "，无硫化氢"
                                  : "",
                  found.course == COURSE_DAILY  ? "，有日变化"
                  : found.course == COURSE_NONE ? "，无日变化"
                                                : "");
    diagnosis_say(en, "sewer gas %d %%%s%s%s; ethane not measured", found.score,
                  found.is_fast   ? ", rose fast"
                  : found.is_slow ? ", slow"
                                  : "",
                  found.is_h2s    ? ", H2S"
                  : found.has_h2s ? ", no H2S"
                                  : "",
                  found.course == COURSE_DAILY  ? ", daily"
                  : found.course == COURSE_NONE ? ", not daily"
                                                : "");
    diagnosis_say(hint, "%s / %s", zh, en);
}

static size_t save(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                   size_t capacity)
{
    const struct memory *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    bool has_any = false;
    (void)moment;
    diagnosis_bytes_put(&bytes, SAVED_AS, 1);
    for (size_t i = 0; i < HOURS; i++) {
        has_any |= memory->hours[i].days > 0;
        diagnosis_bytes_put(&bytes, memory->hours[i].days, 1);
        diagnosis_bytes_put_real(&bytes, memory->hours[i].mean);
        diagnosis_bytes_put_real(&bytes, memory->hours[i].spread);
    }
    return has_any ? diagnosis_bytes_written(&bytes) : 0;
}

static bool load(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                 size_t length)
{
    struct memory *memory = state;
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct memory loaded = {0};
    (void)moment;
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    for (size_t i = 0; i < HOURS; i++) {
        struct hour *hour = &loaded.hours[i];
        hour->days = (uint32_t)diagnosis_bytes_get(&bytes, 1);
        hour->mean = diagnosis_bytes_get_real(&bytes);
        hour->spread = diagnosis_bytes_get_real(&bytes);
        if (hour->days > 30 || hour->spread < 0)
            return false;
    }
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *memory = loaded;
    return true;
}

const struct diagnosis diagnosis_biogas = {
    .form = {.name = "biogas",
             .title_zh = "沼气可能性",
             .title_en = "sewer gas?",
             .levels_mean = {"无，只作提示", "none: it is a hint"},
             .only_hints = true,
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

/* Manhole covers: one that was opened, and one that may be gone.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S23][S24]. Rules of a device: whatever axes and contacts it has make one
 * alarm. Never says why a cover is open, and never takes a broken axis for a closed cover. */
#include "drivers/diagnosis_parts.h"
#include "drivers/diagnosis_zero.h"

/* ---- what both look at ---- */

enum { TILT, OPEN, MOVED }; /* roles; cover_opened has the first two */
enum { SAVED_AS = 1 };

/* How the cover lies. The axes of one answer come one after the other, so that what the others say
 * may be of the answer before: that a cover is open takes a new sample that says so, that it is
 * shut takes new samples of all. */
struct lie {
    bool is_heard;        /* this call brings a sample of it */
    bool has_tilt;        /* and from where it was mounted it is */
    double degrees;       /* ... so far away */
    double heard_degrees; /* by the new samples alone; -1 = none */
    bool has_open;        /* a contact says */
    bool is_open;         /* ... that it is open */
    bool is_open_heard;   /* just now */
    bool was_moved;
    mono_time oldest; /* of the newest samples of those that answer */
};

static void grow_older(struct lie *lie, const struct diagnosis_input *input)
{
    if (diagnosis_is_known(input) && input->at.ns < lie->oldest.ns)
        lie->oldest = input->at;
}

static struct lie look(struct diagnosis_zero *zero, const struct diagnosis_moment *moment,
                       double flat)
{
    const struct diagnosis_role_inputs *axes = &moment->roles[TILT];
    const struct diagnosis_input *open = diagnosis_player(moment, OPEN);
    struct lie lie = {.oldest = moment->now};
    for (size_t i = 0; i < axes->count; i++) {
        lie.is_heard |= diagnosis_is_heard(&axes->inputs[i]);
        grow_older(&lie, &axes->inputs[i]);
    }
    grow_older(&lie, open);
    if (lie.is_heard)
        diagnosis_zero_hear(zero, axes, flat, moment->now);
    lie.has_tilt = diagnosis_zero_tilt(zero, axes, &lie.degrees);
    if (!diagnosis_zero_heard(zero, axes, &lie.heard_degrees))
        lie.heard_degrees = -1;
    lie.has_open = diagnosis_is_known(open);
    lie.is_open = lie.has_open && open->value >= 0.5;
    lie.is_open_heard = lie.is_open && diagnosis_is_heard(open);
    lie.is_heard |= diagnosis_is_heard(open);
    return lie;
}

static bool is_beyond(const struct lie *lie, double degrees)
{
    return lie->has_tilt && lie->degrees >= degrees;
}

/* Open when a new sample says so, not open when none does; else nothing is new. */
static void hear_open(struct diagnosis_hold *hold, const struct lie *lie, double from, bool contact,
                      mono_time now, int64_t need_ms)
{
    if ((contact && lie->is_open_heard) || lie->heard_degrees >= from)
        diagnosis_hold_hear(hold, true, now, need_ms);
    else if (!(contact && lie->is_open) && !is_beyond(lie, from))
        diagnosis_hold_hear(hold, false, now, need_ms);
}

/* Shut for `need_ms`, as all that answer have said anew. since: ns 0 = it is not. */
static bool hear_shut(mono_time *since, const struct lie *lie, double from, mono_time now,
                      int64_t need_ms)
{
    if (lie->is_open || is_beyond(lie, from))
        since->ns = 0;
    else if (since->ns == 0)
        *since = now;
    return since->ns != 0 && clock_ms_between(*since, lie->oldest) >= need_ms;
}

static void put_zero(const struct diagnosis_zero *zero, struct diagnosis_bytes *bytes)
{
    diagnosis_bytes_put(bytes, SAVED_AS, 1);
    diagnosis_zero_put(zero, bytes);
}

static bool load_zero(struct diagnosis_zero *zero, const struct diagnosis_moment *moment,
                      const uint8_t *in, size_t length)
{
    struct diagnosis_bytes bytes = {.in = in, .size = length};
    struct diagnosis_zero loaded = {0};
    if (diagnosis_bytes_get(&bytes, 1) != SAVED_AS)
        return false;
    diagnosis_zero_get(&loaded, moment->roles[TILT].count, &bytes);
    if (!diagnosis_bytes_are_read(&bytes))
        return false;
    *zero = loaded;
    return true;
}

/* The least number: from there a cover is not flat. */
static double flat_of(const struct rule *rule)
{
    return rule->levels[diagnosis_least(rule)].value;
}

/* ---- opened ----
 *
 *          tilt >= least number, or contact open, for `held`
 *   SHUT ---------------------------------------------------> OPENED: the level of the largest tilt
 *     ^      (or no sample for two paces after that)             that two moments in a row reached
 *     |                                                          |
 *     +----- below it by the hysteresis, contact shut, `held` ---+
 *
 * Confidence: tilt and contact agree 95, tilt alone 85, contact alone 80, they disagree 60; 20 less
 * when no sample came after the first. */
enum opened_param { HELD };

struct opened {
    struct diagnosis_zero zero;
    struct diagnosis_hold open;
    bool is_up;
    uint8_t level;
    mono_time since, shut_since;
    double before[RULE_ROLE_POINTS_MAX]; /* of each axis, degrees */
    double worst;                        /* that an axis said twice */
};

static void note_worst(struct opened *memory, const struct diagnosis_role_inputs *axes)
{
    double degrees;
    for (size_t i = 0; i < axes->count; i++) {
        if (!diagnosis_is_heard(&axes->inputs[i]) ||
            !diagnosis_zero_turn(&memory->zero, axes, i, &degrees))
            continue;
        double sure = memory->before[i] < degrees ? memory->before[i] : degrees;
        if (sure > memory->worst)
            memory->worst = sure;
        memory->before[i] = degrees;
    }
    if (!memory->is_up && !memory->open.is)
        memory->worst = 0;
}

static void hear_opened(struct opened *memory, const struct diagnosis_moment *moment,
                        const struct lie *lie)
{
    const struct rule *rule = moment->rule;
    double least = flat_of(rule);
    int64_t held = diagnosis_ms(moment, HELD);
    hear_open(&memory->open, lie, least, true, moment->now, held);
    note_worst(memory, &moment->roles[TILT]);
    if (hear_shut(&memory->shut_since, lie, least - rule->hysteresis.value, moment->now, held))
        memory->is_up = false;
}

static uint8_t opened_confidence(const struct opened *memory, const struct lie *lie, double least)
{
    bool is_tilted = is_beyond(lie, least);
    bool is_sure = memory->open.at.ns > memory->since.ns;
    int percent = is_tilted && lie->is_open ? 95 : is_tilted ? 85 : 80;
    if ((is_tilted && lie->has_open && !lie->is_open) ||
        (lie->is_open && lie->has_tilt && !is_tilted))
        percent = 60;
    return (uint8_t)(is_sure ? percent : percent - 20);
}

static void step_opened(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct opened *memory = state;
    const struct rule *rule = moment->rule;
    int64_t held = diagnosis_ms(moment, HELD);
    double least = flat_of(rule);
    struct lie lie = look(&memory->zero, moment, least);
    *out = (struct finding){0};
    if (lie.is_heard)
        hear_opened(memory, moment, &lie);
    diagnosis_hold_wait(&memory->open, moment->now, held);
    if (memory->open.held && !memory->is_up) {
        memory->is_up = true;
        memory->since = memory->open.since;
        memory->level = LEVEL_NONE;
    }
    out->due =
        diagnosis_sooner(diagnosis_hold_due(&memory->open, held), (mono_time){0}, moment->now);
    out->hurry = memory->open.is || memory->is_up;
    if (!memory->is_up)
        return;
    uint8_t now = diagnosis_follow(rule, LEVEL_NONE, memory->worst);
    memory->level = memory->level == LEVEL_NONE || now < memory->level ? now : memory->level;
    out->level = memory->level;
    out->value = lie.has_tilt ? lie.degrees : lie.is_open;
    out->threshold = lie.has_tilt ? rule->levels[out->level].value : 1;
    out->since = memory->since;
    out->confidence = opened_confidence(memory, &lie, least);
}

static void tell_opened(const void *state, const struct diagnosis_moment *moment,
                        const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                        char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct opened *memory = state;
    const struct diagnosis_input *open = diagnosis_player(moment, OPEN);
    int64_t lasted = clock_ms_between(memory->since, moment->now);
    bool is_open = diagnosis_is_known(open) && open->value >= 0.5;
    double degrees;
    hint[0] = '\0';
    if (diagnosis_zero_tilt(&memory->zero, &moment->roles[TILT], &degrees)) {
        struct diagnosis_word tilt = diagnosis_word(degrees, 1);
        struct diagnosis_word limit = diagnosis_word(finding->threshold, 0);
        diagnosis_say(zh, "井盖较安装位置倾斜 %s°（阈值 %s°）%s，已 %s", tilt.text, limit.text,
                      is_open ? "，开合触点为开" : "", diagnosis_word_ms(lasted, true).text);
        diagnosis_say(en, "cover tilted %s° from where it was mounted (threshold %s°)%s, for %s",
                      tilt.text, limit.text, is_open ? ", contact open" : "",
                      diagnosis_word_ms(lasted, false).text);
    } else {
        diagnosis_say(zh, "井盖开合触点为开，已 %s", diagnosis_word_ms(lasted, true).text);
        diagnosis_say(en, "cover contact open for %s", diagnosis_word_ms(lasted, false).text);
    }
}

static size_t save_opened(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                          size_t capacity)
{
    const struct opened *memory = state;
    struct diagnosis_bytes bytes = {.out = out, .size = capacity};
    (void)moment;
    if (!memory->zero.was_flat && !memory->zero.found)
        return 0;
    put_zero(&memory->zero, &bytes);
    return diagnosis_bytes_written(&bytes);
}

static bool load_opened(void *state, const struct diagnosis_moment *moment, const uint8_t *bytes,
                        size_t length)
{
    return load_zero(&((struct opened *)state)->zero, moment, bytes, length);
}

static const struct diagnosis_param opened_params[] = {
    [HELD] = {"held",
              true,
              true,
              0,
              3600e3,
              {"打开或重新盖好持续这么久", "open, or shut again, for so long"}},
};

static const struct diagnosis_role opened_roles[] = {
    [TILT] = {.name = "tilt", .quantity = "tilt", .siblings = true},
    [OPEN] = {.name = "open", .quantity = "open"},
};

const struct diagnosis diagnosis_cover_opened = {
    .form = {.name = "cover_opened",
             .title_zh = "井盖打开",
             .title_en = "cover opened",
             .levels_mean = {"度，相对安装位置的倾角", "tilt in degrees from where it was mounted"},
             .of_device = true,
             .params = opened_params,
             .param_count = DIAGNOSIS_COUNT(opened_params),
             .roles = opened_roles,
             .role_count = DIAGNOSIS_COUNT(opened_roles)},
    .memory = sizeof(struct opened),
    .step = step_opened,
    .tell = tell_opened,
    .save = save_opened,
    .load = load_opened,
};

/* ---- missing ----
 *
 *          FLIPPED  tilt >= least number at two moments (or no sample for two paces)
 *   THERE  LONG     open (contact, or tilt >= `opened`) for `open_for`         ---> SUSPECTED
 *     ^    GONE     open or moved, and then no usable sample for `silent`             |
 *     |                                                                               |
 *     +--------------------- shut at two moments in a row ----------------------------+
 *
 * One that was GONE before a restart is so again when nothing is heard of it for ten minutes; the
 * other reasons are seen again by themselves.
 *
 * Confidence: FLIPPED 80, GONE when it was open 60, LONG 50 (it may be at work), GONE when it only
 * moved 45; 10 more for two of them, at most 90: that a cover is gone is never seen. */
enum missing_param { OPEN_FOR, SILENT, OPENED };
enum reason { FLIPPED = 1, LONG = 2, GONE = 4 };

struct missing {
    struct diagnosis_zero zero;
    struct diagnosis_hold flipped, open;
    mono_time shut_since;
    unsigned reasons;
    bool was_open;              /* at the newest sample */
    mono_time gone_again;       /* of before a restart; ns 0 = it was not */
    mono_time heard, disturbed; /* newest usable sample; newest that was open or moved */
    mono_time since;
    uint8_t level;
    double degrees;
};

enum { TWICE_MS = 1 /* two moments */, GONE_AGAIN_MS = 600000 };

static double opened_from(const struct rule *rule)
{
    const struct rule_number *opened = &rule->params[OPENED];
    return opened->given && opened->value < flat_of(rule) ? opened->value : flat_of(rule);
}

static void hear_missing(struct missing *memory, const struct diagnosis_moment *moment,
                         const struct lie *lie)
{
    const struct rule *rule = moment->rule;
    double from = opened_from(rule);
    hear_open(&memory->flipped, lie, flat_of(rule), false, moment->now, TWICE_MS);
    hear_open(&memory->open, lie, from, true, moment->now, diagnosis_ms(moment, OPEN_FOR));
    bool is_open = lie->is_open || is_beyond(lie, from);
    memory->heard = moment->now;
    memory->gone_again.ns = 0;
    memory->was_open = is_open;
    if (is_open || lie->was_moved)
        memory->disturbed = moment->now;
    memory->degrees = lie->has_tilt ? lie->degrees : 0;
    if (hear_shut(&memory->shut_since, lie, from - rule->hysteresis.value, moment->now, TWICE_MS))
        memory->reasons = 0;
}

static mono_time gone_at(const struct missing *memory, const struct diagnosis_moment *moment)
{
    int64_t silent = diagnosis_ms(moment, SILENT);
    if (memory->gone_again.ns)
        return memory->gone_again;
    if (!memory->disturbed.ns || clock_ms_between(memory->disturbed, memory->heard) > silent)
        return (mono_time){0};
    return clock_after_ms(memory->heard, silent);
}

static void find_reasons(struct missing *memory, const struct diagnosis_moment *moment)
{
    unsigned before = memory->reasons;
    mono_time gone = gone_at(memory, moment);
    diagnosis_hold_wait(&memory->flipped, moment->now, TWICE_MS);
    diagnosis_hold_wait(&memory->open, moment->now, diagnosis_ms(moment, OPEN_FOR));
    if (memory->flipped.held)
        memory->reasons |= FLIPPED;
    if (memory->open.held)
        memory->reasons |= LONG;
    if (gone.ns && gone.ns <= moment->now.ns)
        memory->reasons |= GONE;
    if (before == 0 && memory->reasons != 0) {
        memory->since = memory->open.is ? memory->open.since : memory->disturbed;
        memory->level = LEVEL_NONE;
    }
}

static uint8_t missing_confidence(const struct missing *memory)
{
    int percent = memory->reasons & FLIPPED ? 80
                  : memory->reasons & GONE  ? (memory->was_open ? 60 : 45)
                                            : 50;
    bool has_two = (memory->reasons & (memory->reasons - 1)) != 0;
    return (uint8_t)(has_two ? percent + 10 : percent);
}

static void step_missing(void *state, const struct diagnosis_moment *moment, struct finding *out)
{
    struct missing *memory = state;
    const struct diagnosis_input *moved = diagnosis_player(moment, MOVED);
    struct lie lie = look(&memory->zero, moment, opened_from(moment->rule));
    *out = (struct finding){0};
    lie.was_moved = diagnosis_is_heard(moved) && moved->value >= 0.5;
    if (lie.is_heard || diagnosis_is_heard(moved))
        hear_missing(memory, moment, &lie);
    find_reasons(memory, moment);
    mono_time held = diagnosis_sooner(
        diagnosis_hold_due(&memory->flipped, TWICE_MS),
        diagnosis_hold_due(&memory->open, diagnosis_ms(moment, OPEN_FOR)), moment->now);
    out->due = diagnosis_sooner(held, gone_at(memory, moment), moment->now);
    out->hurry = memory->open.is || memory->reasons != 0;
    if (memory->reasons == 0)
        return;
    bool is_flipped = (memory->reasons & FLIPPED) != 0;
    uint8_t now = is_flipped ? diagnosis_follow(moment->rule, LEVEL_NONE, memory->degrees)
                             : diagnosis_least(moment->rule);
    memory->level = memory->level == LEVEL_NONE || now < memory->level ? now : memory->level;
    out->level = memory->level;
    out->value = lie.has_tilt ? lie.degrees : lie.is_open;
    out->threshold = lie.has_tilt ? moment->rule->levels[out->level].value : 1;
    out->since = memory->since;
    out->confidence = missing_confidence(memory);
}

static void tell_missing(const void *state, const struct diagnosis_moment *moment,
                         const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                         char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    const struct missing *memory = state;
    int64_t open_ms = clock_ms_between(memory->since, moment->now);
    int64_t silent_ms = clock_ms_between(memory->heard, moment->now);
    struct diagnosis_word tilt = diagnosis_word(memory->degrees, 0);
    (void)finding;
    if (memory->reasons & FLIPPED) {
        diagnosis_say(zh, "井盖较安装位置倾斜 %s°，疑似丢失", tilt.text);
        diagnosis_say(en, "cover tilted %s° from where it was mounted: suspected missing",
                      tilt.text);
    } else if (memory->reasons & GONE) {
        diagnosis_say(zh, "井盖%s后 %s无数据，疑似丢失", memory->was_open ? "打开" : "移动",
                      diagnosis_word_ms(silent_ms, true).text);
        diagnosis_say(en, "cover %s, and then no data for %s: suspected missing",
                      memory->was_open ? "opened" : "moved",
                      diagnosis_word_ms(silent_ms, false).text);
    } else {
        diagnosis_say(zh, "井盖已打开 %s，疑似丢失", diagnosis_word_ms(open_ms, true).text);
        diagnosis_say(en, "cover open for %s: suspected missing",
                      diagnosis_word_ms(open_ms, false).text);
    }
    diagnosis_say(hint, "%s",
                  memory->reasons == LONG ? "也可能为作业未关 / may be left open at work" : "");
}

static size_t save_missing(const void *state, const struct diagnosis_moment *moment, uint8_t *out,
                           size_t capacity)
{
    const struct missing *memory = state;
    bool is_gone = (memory->reasons & GONE) != 0;
    (void)moment;
    if (capacity == 0 || (!is_gone && !memory->zero.was_flat && !memory->zero.found))
        return 0;
    out[0] = (uint8_t)(is_gone | memory->was_open << 1);
    struct diagnosis_bytes bytes = {.out = out + 1, .size = capacity - 1};
    put_zero(&memory->zero, &bytes);
    return bytes.failed ? 0 : 1 + diagnosis_bytes_written(&bytes);
}

static bool load_missing(void *state, const struct diagnosis_moment *moment, const uint8_t *in,
                         size_t length)
{
    struct missing *memory = state;
    struct missing loaded = {0};
    if (length == 0 || !load_zero(&loaded.zero, moment, in + 1, length - 1))
        return false;
    if (in[0] & 1)
        loaded.gone_again = clock_after_ms(moment->now, GONE_AGAIN_MS);
    loaded.was_open = (in[0] & 2) != 0;
    loaded.heard = moment->now;
    *memory = loaded;
    return true;
}

static const struct diagnosis_param missing_params[] = {
    [OPEN_FOR] = {"open_for", true, true, 1e3, 7 * 86400e3, {"打开这么久", "open for so long"}},
    [SILENT] = {"silent",
                true,
                true,
                1e3,
                7 * 86400e3,
                {"打开或移动之后这么久没有消息（缺一次心跳）",
                 "opened or moved, and then nothing for so long (a missed heartbeat)"}},
    [OPENED] = {"opened",
                false,
                false,
                0,
                180,
                {"倾斜多少度算打开；不写时取最轻一级的",
                 "degrees from where it is open; the least level's"}},
};

static const struct diagnosis_role missing_roles[] = {
    [TILT] = {.name = "tilt", .quantity = "tilt", .siblings = true},
    [OPEN] = {.name = "open", .quantity = "open"},
    [MOVED] = {.name = "moved", .quantity = "moved"},
};

const struct diagnosis diagnosis_cover_missing = {
    .form = {.name = "cover_missing",
             .title_zh = "疑似井盖丢失",
             .title_en = "cover suspected missing",
             .levels_mean = {"度，相对安装位置的倾角", "tilt in degrees from where it was mounted"},
             .of_device = true,
             .params = missing_params,
             .param_count = DIAGNOSIS_COUNT(missing_params),
             .roles = missing_roles,
             .role_count = DIAGNOSIS_COUNT(missing_roles)},
    .memory = sizeof(struct missing),
    .step = step_missing,
    .tell = tell_missing,
    .save = save_missing,
    .load = load_missing,
};

/* What the diagnoses share: the numbers of a rule, conditions that must last, words of a text.
 *
 * Called on the thread of the watch; owns nothing. Never allocates, never decides what is wrong
 * with a pipe or a cover. */
#include "drivers/diagnosis_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers of the rule ---- */

uint8_t diagnosis_level(const struct rule *rule, double measure)
{
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++) {
        if (rule->levels[level].given && measure >= rule->levels[level].value)
            return level;
    }
    return LEVEL_NONE;
}

uint8_t diagnosis_least(const struct rule *rule)
{
    for (uint8_t level = LEVEL_COUNT - 1; level > LEVEL_NONE; level--) {
        if (rule->levels[level].given)
            return level;
    }
    return LEVEL_NONE;
}

uint8_t diagnosis_graver(const struct rule *rule, uint8_t level)
{
    for (uint8_t graver = level; graver > LEVEL_RED; graver--) {
        if (rule->levels[graver - 1].given)
            return (uint8_t)(graver - 1);
    }
    return level;
}

uint8_t diagnosis_follow(const struct rule *rule, uint8_t level, double measure)
{
    uint8_t least = diagnosis_least(rule);
    uint8_t now = diagnosis_level(rule, measure);
    if (now == LEVEL_NONE)
        now = least;
    if (level == LEVEL_NONE || now <= level)
        return now;
    return measure < rule->levels[level].value - rule->hysteresis.value ? now : level;
}

double diagnosis_number(const struct diagnosis_moment *moment, size_t param)
{
    return moment->rule->params[param].value;
}

int64_t diagnosis_ms(const struct diagnosis_moment *moment, size_t param)
{
    return (int64_t)moment->rule->params[param].value;
}

double diagnosis_median(double *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    if (count == 0)
        return 0;
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- inputs ---- */

const struct diagnosis_input *diagnosis_player(const struct diagnosis_moment *moment, size_t role)
{
    return moment->roles[role].count ? &moment->roles[role].inputs[0] : NULL;
}

bool diagnosis_is_heard(const struct diagnosis_input *input)
{
    return input && input->fresh && input->usable && isfinite(input->value);
}

bool diagnosis_is_known(const struct diagnosis_input *input)
{
    return input && input->ever && input->usable && isfinite(input->value);
}

/* ---- a condition that must last ---- */

void diagnosis_hold_hear(struct diagnosis_hold *hold, bool is, mono_time at, int64_t need_ms)
{
    if (hold->at.ns && at.ns > hold->at.ns)
        hold->pace_ms = clock_ms_between(hold->at, at);
    hold->at = at;
    if (!is) {
        hold->is = hold->held = false;
        return;
    }
    if (!hold->is)
        hold->since = at;
    hold->is = true;
    hold->held |= clock_ms_between(hold->since, at) >= need_ms;
}

static mono_time without_samples(const struct diagnosis_hold *hold, int64_t need_ms)
{
    mono_time lasted = clock_after_ms(hold->since, need_ms);
    mono_time quiet = clock_after_ms(hold->at, 2 * hold->pace_ms);
    return lasted.ns > quiet.ns ? lasted : quiet;
}

void diagnosis_hold_wait(struct diagnosis_hold *hold, mono_time now, int64_t need_ms)
{
    if (hold->is && hold->pace_ms > 0 && now.ns >= without_samples(hold, need_ms).ns)
        hold->held = true;
}

mono_time diagnosis_hold_due(const struct diagnosis_hold *hold, int64_t need_ms)
{
    if (!hold->is || hold->held || hold->pace_ms <= 0)
        return (mono_time){0};
    return without_samples(hold, need_ms);
}

/* ---- words ---- */

void diagnosis_say(char out[DIAGNOSIS_TEXT_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, DIAGNOSIS_TEXT_MAX, format, arguments);
    va_end(arguments);
    if (length < DIAGNOSIS_TEXT_MAX)
        return;
    size_t end = DIAGNOSIS_TEXT_MAX - 1;
    size_t start = end;
    while (start > 0 && ((unsigned char)out[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)out[start - 1];
    size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (start - 1 + whole > end)
        out[start - 1] = '\0';
}

struct diagnosis_word diagnosis_word(double value, int decimals)
{
    struct diagnosis_word word;
    bool is_plain = fabs(value) < 1e6;
    snprintf(word.text, sizeof word.text, is_plain ? "%.*f" : "%.*e", decimals, value);
    return word;
}

struct diagnosis_word diagnosis_word_ms(int64_t ms, bool chinese)
{
    struct diagnosis_word word;
    int64_t seconds = (ms + 500) / 1000, minutes = (ms + 30000) / 60000;
    if (seconds < 120)
        snprintf(word.text, sizeof word.text, chinese ? "%d 秒" : "%d s", (int)seconds);
    else if (minutes < 120)
        snprintf(word.text, sizeof word.text, chinese ? "%d 分钟" : "%d min", (int)minutes);
    else
        snprintf(word.text, sizeof word.text, chinese ? "%d 小时" : "%d h",
                 (int)((ms / 1800000 + 1) / 2));
    return word;
}

mono_time diagnosis_sooner(mono_time a, mono_time b, mono_time now)
{
    bool is_a = a.ns > now.ns, is_b = b.ns > now.ns;
    if (is_a && is_b)
        return a.ns < b.ns ? a : b;
    return is_a ? a : is_b ? b : (mono_time){0};
}

/* Times on the command line and in its answers.
 *
 * Pure but for the time zone of the process. A date that does not exist, or an hour that the clocks
 * skipped, is refused rather than shifted. 64-bit milliseconds throughout. */
#include "gateway/ctl/moment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/scalar.h"

/* Exactly so many digits; NULL when there are fewer. */
static const char *digits(const char *text, int count, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++, text++) {
        if (!isdigit((unsigned char)*text))
            return NULL;
        *out = *out * 10 + (*text - '0');
    }
    return text;
}

/* A mark and the digits behind it. */
static const char *part(const char *text, char mark, int count, int *out)
{
    return text && *text == mark ? digits(text + 1, count, out) : NULL;
}

static const char *date(const char *text, struct tm *out)
{
    text = digits(text, 4, &out->tm_year);
    text = part(text, '-', 2, &out->tm_mon);
    text = part(text, '-', 2, &out->tm_mday);
    out->tm_year -= 1900;
    out->tm_mon -= 1;
    return text;
}

/* Hours and minutes, and as much of the rest as there is. */
static const char *time_of_day(const char *text, struct tm *out, int *ms)
{
    text = digits(text, 2, &out->tm_hour);
    text = part(text, ':', 2, &out->tm_min);
    if (text && *text == ':')
        text = part(text, ':', 2, &out->tm_sec);
    if (text && *text == '.')
        text = part(text, '.', 3, ms);
    return text;
}

/* "", "Z" or an offset; *east_s is what local time is ahead. */
static bool zone(const char *text, bool *utc, int *east_s)
{
    int hours, minutes, sign = *text == '-' ? -1 : 1;
    *utc = *text != '\0';
    *east_s = 0;
    if (!*text || strcmp(text, "Z") == 0)
        return true;
    if (*text != '+' && *text != '-')
        return false;
    text = part(digits(text + 1, 2, &hours), ':', 2, &minutes);
    if (!text || *text || hours > 14 || minutes > 59)
        return false;
    *east_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool moment_parse(const char *text, int64_t now_ms, int64_t *out)
{
    int64_t back_ms;
    int ms = 0, east_s;
    bool utc;
    struct tm tm = {.tm_isdst = -1};
    if (scalar_duration(text, &back_ms)) {
        *out = now_ms - back_ms;
        return true;
    }
    text = date(text, &tm);
    if (text && (*text == 'T' || *text == ' '))
        text = time_of_day(text + 1, &tm, &ms);
    if (!text || !zone(text, &utc, &east_s))
        return false;
    struct tm same = tm;
    time_t seconds = utc ? timegm(&same) : mktime(&same);
    if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
        same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
        return false;
    *out = ((int64_t)seconds - east_s) * 1000 + ms;
    return true;
}

static const char *text(int64_t ms, bool utc, char out[MOMENT_BYTES])
{
    struct tm tm;
    int64_t rest_ms = (ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((ms - rest_ms) / 1000);
    if (!(utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm)))
        return "-";
    size_t length =
        strftime(out, MOMENT_BYTES, utc ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(out + length, MOMENT_BYTES - length, ".%03d%s", (int)rest_ms, utc ? "Z" : "");
    return out;
}

const char *moment_local(int64_t ms, char out[MOMENT_BYTES])
{
    return text(ms, false, out);
}

const char *moment_short(int64_t ms, int64_t now_ms, char out[MOMENT_BYTES])
{
    struct tm then, today;
    int64_t rest_ms = (ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((ms - rest_ms) / 1000), now = (time_t)(now_ms / 1000);
    if (!localtime_r(&seconds, &then) || !localtime_r(&now, &today))
        return "-";
    if (then.tm_year != today.tm_year || then.tm_yday != today.tm_yday) {
        strftime(out, MOMENT_BYTES, "%m-%d %H:%M ", &then);
        return out;
    }
    size_t length = strftime(out, MOMENT_BYTES, "%H:%M:%S", &then);
    snprintf(out + length, MOMENT_BYTES - length, ".%03d", (int)rest_ms);
    return out;
}

const char *moment_utc(int64_t ms, char out[MOMENT_BYTES])
{
    return text(ms, true, out);
}

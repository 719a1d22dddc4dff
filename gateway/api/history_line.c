/* Lines of history: readings of the store as JSON, one a line.
 *
 * Any thread; owns nothing, asks nobody, allocates nothing. Written by hand, for there are millions
 * of them: numbers are exact (the point goes between two digits of the steps, a float is as short
 * as it can be), a value that does not count is null, and a name without end is cut. */
#include "gateway/api/history_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/names.h"
#include "proto/segment_read.h"

enum { NUMBER_MAX = 48, TEXT_MAX = 256 };

/* steps / 10^decimals, exactly. */
static void write_steps(int64_t steps, uint8_t decimals, char out[NUMBER_MAX])
{
    char digits[NUMBER_MAX];
    uint64_t number = steps < 0 ? -(uint64_t)steps : (uint64_t)steps;
    int least = decimals < SEGMENT_READ_DECIMALS_MAX ? decimals : SEGMENT_READ_DECIMALS_MAX;
    int length = snprintf(digits, sizeof digits, "%0*" PRIu64, least + 1, number);
    snprintf(out, NUMBER_MAX, "%s%.*s%s%s", steps < 0 ? "-" : "", length - least, digits,
             least ? "." : "", digits + length - least);
}

void history_line_real(float real, char out[HISTORY_LINE_REAL_MAX])
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, HISTORY_LINE_REAL_MAX, "%.*g", digits, (double)real);
        if (strtof(out, NULL) == real)
            return;
    }
}

static const char *escape(const char *text, char out[TEXT_MAX])
{
    size_t used = 0;
    for (; *text && used + 7 < TEXT_MAX; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20) {
            used += (size_t)snprintf(out + used, TEXT_MAX - used, "\\u%04x", byte);
            continue;
        }
        if (byte == '"' || byte == '\\')
            out[used++] = '\\';
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return out;
}

size_t history_line(const struct history_reading *reading, char out[HISTORY_LINE_MAX])
{
    char number[NUMBER_MAX] = "null", decimals[24] = "";
    char device[TEXT_MAX], point[TEXT_MAX], unit[TEXT_MAX];
    enum quality quality = (enum quality)reading->value.quality;
    if (!reading->is_float)
        snprintf(decimals, sizeof decimals, "\"decimals\":%u,", reading->decimals);
    if (names_quality_usable(quality) && !reading->is_float)
        write_steps(reading->value.steps, reading->decimals, number);
    else if (names_quality_usable(quality) && isfinite(reading->value.real))
        history_line_real(reading->value.real, number);
    int length =
        snprintf(out, HISTORY_LINE_MAX,
                 "{\"time_ms\":%" PRId64 ",\"device\":\"%s\",\"point\":\"%s\",\"unit\":\"%s\","
                 "%s\"value\":%s,\"quality\":\"%s\"}\n",
                 reading->time_ms, escape(reading->device, device), escape(reading->point, point),
                 escape(reading->unit, unit), decimals, number, names_quality(quality));
    return (size_t)length;
}

size_t history_line_last(const struct history *history, char out[HISTORY_LINE_MAX])
{
    const struct history_end end = history_end(history);
    char why[TEXT_MAX];
    int length = snprintf(
        out, HISTORY_LINE_MAX,
        "{\"end\":true,\"points\":%" PRIu64 ",\"readings\":%" PRIu64 ",\"damaged_rows\":%" PRIu64
        "%s%s%s%s}\n",
        end.points, end.readings, end.damaged_rows, end.incomplete ? ",\"incomplete\":true" : "",
        end.why ? ",\"error\":\"" : "", escape(end.why ? end.why : "", why), end.why ? "\"" : "");
    return (size_t)length;
}

/* Line load before anything is polled: baud, plan and periods say how busy a line will be.
 *
 * Pure: runs in whatever thread checks a configuration, owns nothing, never talks to a line. It
 * counts the good case; a unit that does not answer costs its timeout on top, hence the warning
 * already at 70 %. */
#include "drivers/forecast.h"

#include <stdio.h>

#define WARN_PERCENT  70
#define ERROR_PERCENT 100

#define REQUEST_CHARACTERS 8
#define REPLY_CHARACTERS   5
#define SILENCE_CHARACTERS 3.5
#define SILENCE_FAST_US    1750 /* above 19200 baud, whatever the baud */
#define TURNAROUND_US                                                                              \
    5000 /* what a sensor thinks before it answers, and a network's round trip                     \
          */

/* The devices that use most of a line, for the message. */
#define NAMED 3

static double character_us(const struct serial *serial)
{
    unsigned bits = 1U + serial->data_bits + (serial->parity != 'N') + serial->stop_bits;
    return serial->baud != 0 ? bits * 1e6 / serial->baud : 0;
}

double forecast_request_us(const struct settings_line *line, const struct profile *profile,
                           enum function function, uint16_t count)
{
    double gap_us = profile->min_gap_ms * 1e3;
    double turnaround_us = gap_us > TURNAROUND_US ? gap_us : TURNAROUND_US;
    if (line->transport == TRANSPORT_TCP)
        return turnaround_us;
    double character = character_us(&line->serial);
    double silence = line->serial.baud > 19200 ? SILENCE_FAST_US : SILENCE_CHARACTERS * character;
    unsigned data = profile_is_bits(function) ? (count + 7U) / 8 : count * 2U;
    return (REQUEST_CHARACTERS + REPLY_CHARACTERS + data) * character + 2 * silence + turnaround_us;
}

static double block_percent(const struct settings *settings, const struct plan_block *block)
{
    const struct settings_device *device = &settings->devices[block->device];
    double us = forecast_request_us(&settings->lines[block->line], device->profile, block->function,
                                    block->count);
    return block->every_ms != 0 ? us / (block->every_ms * 10.0) : 0;
}

/* Blocks are ordered by device: sums the run that starts at *next and moves past it. */
static double device_percent(const struct settings *settings, const struct plan *plan, size_t *next)
{
    uint32_t device = plan->blocks[*next].device;
    double percent = 0;
    for (; *next < plan->block_count && plan->blocks[*next].device == device; (*next)++)
        percent += block_percent(settings, &plan->blocks[*next]);
    return percent;
}

struct share {
    const char *device;
    double percent;
};

/* Puts a share where it belongs among the largest. */
static void keep_largest(struct share largest[NAMED], struct share share)
{
    size_t i = NAMED;
    for (; i > 0 && share.percent > largest[i - 1].percent; i--) {
        if (i < NAMED)
            largest[i] = largest[i - 1];
    }
    if (i < NAMED)
        largest[i] = share;
}

static double line_percent(const struct settings *settings, const struct plan *plan, uint32_t line,
                           struct share largest[NAMED])
{
    double percent = 0;
    for (size_t i = 0; i < plan->block_count;) {
        const struct plan_block *first = &plan->blocks[i];
        double share = device_percent(settings, plan, &i);
        if (first->line != line)
            continue;
        percent += share;
        keep_largest(largest, (struct share){settings->devices[first->device].name, share});
    }
    return percent;
}

static void report(const struct settings_line *line, double percent,
                   const struct share largest[NAMED], struct diagnostics *out)
{
    char names[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < NAMED && largest[i].device != NULL; i++) {
        int wrote = snprintf(names + length, sizeof names - length, "%s%s (%.0f %%)",
                             i > 0 ? ", " : "", largest[i].device, largest[i].percent);
        if (wrote < 0 || (size_t)wrote >= sizeof names - length)
            break;
        length += (size_t)wrote;
    }
    if (percent > ERROR_PERCENT)
        diagnostics_add(out, SEVERITY_ERROR, line->place,
                        "line \"%s\" is overloaded: its requests need %.0f %% of the time, so "
                        "every period slips to %.1f times what is asked; most of it: %s",
                        line->name, percent, percent / 100, names);
    else if (percent > WARN_PERCENT)
        diagnostics_add(out, SEVERITY_WARNING, line->place,
                        "line \"%s\" is busy for %.0f %% of the time; one silent unit makes "
                        "periods slip; most of it: %s",
                        line->name, percent, names);
}

void forecast_lines(const struct settings *settings, const struct plan *plan, double *percent,
                    struct diagnostics *out)
{
    for (uint32_t i = 0; i < settings->line_count; i++) {
        struct share largest[NAMED] = {{NULL, 0}};
        double load = line_percent(settings, plan, i, largest);
        if (percent != NULL)
            percent[i] = load;
        if (out != NULL)
            report(&settings->lines[i], load, largest, out);
    }
}

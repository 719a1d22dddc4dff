/* Line load before anything is polled: baud, plan and periods say how busy a line will be.
 *
 * Pure: runs in whatever thread checks a configuration, owns nothing, never talks to a line. It
 * counts the good case; a unit that does not answer costs its timeout on top, hence the warning
 * already at 70 %. An overloaded line serves the earliest deadline first, which stretches all of
 * its periods by the same factor. */
#include "drivers/forecast.h"

#include <stdio.h>
#include <stdlib.h>

#include "drivers/line_time.h"

#define WARN_PERCENT  70
#define ERROR_PERCENT 100

/* The devices that use most of a line, for the message. */
#define NAMED 3

/* What a device takes of its line, and its shortest period. */
struct share {
    double percent;
    uint32_t every_ms;
};

/* A request of a read in which the blocks up to a period take part. */
struct turn {
    uint32_t upto_ms, next_ms; /* UINT32_MAX: no block is slower */
    uint32_t registers;        /* that its blocks want */
    int64_t ns;
};

/* The blocks of a read as turns: the fastest of the periods above `after_ms`, and how long its
 * request takes. False when there is none. */
static bool next_turn(const struct settings *settings, const struct plan *plan,
                      const struct plan_read *read, uint32_t after_ms, struct turn *turn)
{
    const struct settings_line *line = &settings->lines[read->line];
    uint32_t first = UINT32_MAX, end = 0;
    int64_t overhead_ns = 0;
    *turn = (struct turn){UINT32_MAX, UINT32_MAX, 0, 0};
    for (uint16_t i = 0; i < read->block_count; i++) {
        uint32_t every_ms = plan->blocks[read->blocks[i]].every_ms;
        if (every_ms > after_ms && every_ms < turn->upto_ms)
            turn->upto_ms = every_ms;
    }
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &plan->blocks[read->blocks[i]];
        if (block->every_ms > turn->upto_ms) {
            turn->next_ms = block->every_ms < turn->next_ms ? block->every_ms : turn->next_ms;
            continue;
        }
        int64_t own_ns = line_time_overhead_ns(line, settings->devices[block->device].profile);
        overhead_ns = own_ns > overhead_ns ? own_ns : overhead_ns;
        first = block->address < first ? block->address : first;
        end = block->address + block->count > end ? block->address + block->count : end;
        turn->registers += block->count;
    }
    if (turn->upto_ms != UINT32_MAX)
        turn->ns =
            overhead_ns + line_time_bytes(read->function, end - first) * line_time_byte_ns(line);
    return turn->upto_ms != UINT32_MAX;
}

/* Adds a read to the shares of its devices; what it takes. A turn is divided by registers. */
static double add_read(const struct settings *settings, const struct plan *plan,
                       const struct plan_read *read, struct share *shares)
{
    double sum = 0;
    struct turn turn;
    for (uint32_t after = 0; next_turn(settings, plan, read, after, &turn); after = turn.upto_ms) {
        double rate = 1.0 / turn.upto_ms - (turn.next_ms != UINT32_MAX ? 1.0 / turn.next_ms : 0);
        double percent = rate * (double)turn.ns / 1e4; /* ns per ms */
        sum += percent;
        for (uint16_t i = 0; i < read->block_count && shares != NULL; i++) {
            const struct plan_block *block = &plan->blocks[read->blocks[i]];
            struct share *share = &shares[block->device];
            if (block->every_ms > turn.upto_ms)
                continue;
            share->percent += percent * block->count / turn.registers;
            if (share->every_ms == 0 || block->every_ms < share->every_ms)
                share->every_ms = block->every_ms;
        }
    }
    return sum;
}

static void put_duration(char *text, size_t size, double ms)
{
    if (ms < 999.5)
        snprintf(text, size, "%.3gms", ms);
    else if (ms < 120000)
        snprintf(text, size, "%.3gs", ms / 1000);
    else if (ms < 7200000)
        snprintf(text, size, "%.3gm", ms / 60000);
    else
        snprintf(text, size, "%.3gh", ms / 3600000);
}

/* The heaviest device of a line that is not named yet; UINT32_MAX when nobody is left. */
static uint32_t heaviest(const struct settings *settings, uint32_t line, const struct share *shares)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < settings->device_count; i++) {
        if (settings->devices[i].line == line && shares[i].percent > 0 &&
            (found == UINT32_MAX || shares[i].percent > shares[found].percent))
            found = i;
    }
    return found;
}

/* Names the heaviest devices, and says what their periods become when the line is overloaded.
 * Takes them out of the shares. */
static void put_names(const struct settings *settings, uint32_t line, double percent,
                      struct share *shares, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < NAMED && length < size; i++) {
        uint32_t device = heaviest(settings, line, shares);
        if (device == UINT32_MAX)
            return;
        char slip[64] = "", asked[24], gets[24];
        put_duration(asked, sizeof asked, shares[device].every_ms);
        put_duration(gets, sizeof gets, shares[device].every_ms * percent / 100);
        if (percent > ERROR_PERCENT)
            snprintf(slip, sizeof slip, ", every %s becomes %s", asked, gets);
        int wrote = snprintf(text + length, size - length, "%s%s (%.0f %%%s)", i > 0 ? ", " : "",
                             settings->devices[device].name, shares[device].percent, slip);
        length += wrote > 0 ? (size_t)wrote : 0;
        shares[device].percent = 0;
    }
    size_t others = 0;
    for (uint32_t i = 0; i < settings->device_count; i++)
        others += settings->devices[i].line == line && shares[i].percent > 0;
    if (others > 0 && length < size)
        snprintf(text + length, size - length, " and %zu more", others);
}

static void report(const struct settings *settings, uint32_t index, double percent,
                   struct share *shares, struct diagnostics *out)
{
    const struct settings_line *line = &settings->lines[index];
    char names[512] = "";
    if (percent <= WARN_PERCENT)
        return;
    put_names(settings, index, percent, shares, names, sizeof names);
    if (percent > ERROR_PERCENT)
        diagnostics_add(out, SEVERITY_ERROR, line->place,
                        "line \"%s\" is overloaded: its requests need %.0f %% of the time, so "
                        "every period slips to %.1f times what is asked; most of it: %s",
                        line->name, percent, percent / 100, names);
    else
        diagnostics_add(out, SEVERITY_WARNING, line->place,
                        "line \"%s\" is busy for %.0f %% of the time; one silent unit makes "
                        "periods slip; most of it: %s",
                        line->name, percent, names);
}

void forecast_lines(const struct settings *settings, const struct plan *plan, double *percent,
                    struct diagnostics *out)
{
    /* Without memory for the shares, the messages name nobody's. */
    struct share *shares = calloc(settings->device_count + 1, sizeof *shares);
    size_t r = 0;
    for (uint32_t i = 0; i < settings->line_count; i++) {
        double load = 0;
        for (; r < plan->read_count && plan->reads[r].line == i; r++)
            load += add_read(settings, plan, &plan->reads[r], shares);
        if (percent != NULL)
            percent[i] = load;
        if (out != NULL && shares != NULL)
            report(settings, i, load, shares, out);
    }
    free(shares);
}

bool forecast_is_back_to_back(const struct plan *plan, uint32_t line)
{
    for (size_t r = 0; r < plan->read_count; r++) {
        if (plan->reads[r].line == line && plan->reads[r].every_ms == 0)
            return true;
    }
    return false;
}

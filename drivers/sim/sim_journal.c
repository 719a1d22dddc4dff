/* Writes the simulator's journal; the format stands in sim_journal.h.
 *
 * Runs in the simulator's only thread. Owns the open file. The values are worked out anew from the
 * counter: they are a function of it, so nothing is carried along with a reply that waits. Never
 * leaves half a line behind a reply: the buffer is handed to the kernel with each line. */
#include "drivers/sim/sim_journal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/clock.h"

struct sim_journal {
    FILE *file;
};

struct sim_journal *sim_journal_open(const char *path)
{
    struct sim_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        return NULL;
    }
    journal->file = fopen(path, "ae");
    if (journal->file == NULL) {
        free(journal);
        return NULL;
    }
    setvbuf(journal->file, NULL, _IOFBF, 65536);
    return journal;
}

void sim_journal_close(struct sim_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    fclose(journal->file);
    free(journal);
}

/* Names come from the configuration, which allows no control characters; quotes it may. */
static void write_text(FILE *file, const char *text)
{
    putc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putc('\\', file);
        }
        putc(*text, file);
    }
    putc('"', file);
}

static void write_points(FILE *file, const struct sim_value *value,
                         const struct sim_journal_entry *entry)
{
    const struct profile *profile = sim_value_device(value)->profile;
    const char *comma = "";
    fprintf(file, ",\"counter\":%" PRIu32 ",\"points\":{", entry->answer.moment.counter);
    for (size_t i = 0; i < profile->point_count; i++) {
        if (!sim_value_contains(value, i, (enum function)entry->request.function,
                                entry->request.address, entry->request.count)) {
            continue;
        }
        fputs(comma, file);
        write_text(file, profile->points[i].name);
        if (profile->points[i].is_float) {
            fprintf(file, ":%.9g", (double)sim_value_real(value, i, entry->answer.moment));
        } else {
            fprintf(file, ":%" PRId64, sim_value_steps(value, i, entry->answer.moment));
        }
        comma = ",";
    }
    putc('}', file);
}

/* Whether the sensor's own answer left whole, whatever else did. */
static bool is_whole(enum sim_fault_kind fault)
{
    return fault == SIM_FAULT_NONE || fault == SIM_FAULT_LATE || fault == SIM_FAULT_NOISE ||
           fault == SIM_FAULT_FOREIGN || fault == SIM_FAULT_TWIN;
}

static void write_entry(FILE *file, const struct sim_value *value,
                        const struct sim_journal_entry *entry, int64_t held_ns)
{
    const struct sim_request *request = &entry->request;
    fprintf(file, "{\"t\":%" PRId64 ",\"line\":", clock_wall().ms);
    write_text(file, entry->line);
    if (value != NULL) {
        fputs(",\"device\":", file);
        write_text(file, sim_value_device(value)->name);
    }
    fprintf(file, ",\"unit\":%u,\"function\":%u,\"address\":%u,\"count\":%u,\"held_us\":%" PRId64,
            request->unit, request->function, request->address, request->count, held_ns / 1000);
    if (entry->fault != SIM_FAULT_NONE) {
        fprintf(file, ",\"fault\":\"%s\"", sim_fault_name(entry->fault));
    }
    if (entry->answer.exception != 0) {
        fprintf(file, ",\"exception\":%u", entry->answer.exception);
    } else if (value != NULL && is_whole(entry->fault)) {
        write_points(file, value, entry);
    }
    fputs("}\n", file);
}

bool sim_journal_reply(struct sim_journal *journal, const struct sim_journal_entry *entry)
{
    if (journal == NULL) {
        return true;
    }
    size_t at = 0;
    int64_t held_ns = entry->held_ns;
    const struct sim_value *value = sim_units_next(entry->units, &entry->request, &at);
    do {
        write_entry(journal->file, value, entry, held_ns);
        held_ns = 0;
    } while (value != NULL && (value = sim_units_next(entry->units, &entry->request, &at)) != NULL);
    return fflush(journal->file) == 0;
}

bool sim_journal_link(struct sim_journal *journal, const char *line, bool down)
{
    if (journal == NULL) {
        return true;
    }
    fprintf(journal->file, "{\"t\":%" PRId64 ",\"line\":", clock_wall().ms);
    write_text(journal->file, line);
    fprintf(journal->file, ",\"fault\":\"%s\",\"down\":%s}\n", sim_fault_name(SIM_FAULT_DROP_LINK),
            down ? "true" : "false");
    return fflush(journal->file) == 0;
}

/* A walk over the rows of alarms, from one id and step to the next.
 *
 * Fetched by the store thread, read by who asked; loan.h says who has it. It goes on behind the
 * last row it saw, whatever became of the file in between. A row that is damaged is counted and
 * left out. Never writes to the database. */
#include "gateway/store/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/store/internal.h"

enum { HELD = 32, SLICE_MS = 10 };

struct steps {
    struct loan loan;
    struct steps_wanted wanted;
    char last_id[ALARM_ID_LENGTH + 1];
    int64_t last_step;
    bool ended;
    size_t count, read;
    struct steps_found found;
    char why[160];
    struct lane_event held[HELD];
};

static void release(struct loan *loan)
{
    free(loan);
}

static bool is_wanted(const struct steps_wanted *wanted, const struct lane_event *event)
{
    const char *id = event->id;
    size_t part = strlen(wanted->part), all = strlen(id);
    unsigned level = event->level ? event->level : event->previous_level;
    return event->kind == LANE_ALARM && all >= part &&
           (strncmp(id, wanted->part, part) == 0 || strcmp(id + all - part, wanted->part) == 0) &&
           (!wanted->level || (level && level <= wanted->level)) &&
           (!wanted->sector || event->sector == wanted->sector);
}

/* The row that the statement stands at. */
static void take(struct steps *steps, sqlite3_stmt *s)
{
    const char *id = (const char *)sqlite3_column_text(s, 0);
    bool in_span = sqlite3_column_type(s, 9) != SQLITE_NULL;
    snprintf(steps->last_id, sizeof steps->last_id, "%s", id ? id : "");
    steps->last_step = sqlite3_column_int64(s, 1);
    struct lane_event *event = &steps->held[steps->count];
    if (in_span && !alarms_read(s, event)) {
        steps->found.damaged_rows++;
    } else if (in_span && is_wanted(&steps->wanted, event)) {
        steps->count++;
        steps->found.steps++;
    }
}

static void fetch(struct store *store, struct loan *loan)
{
    struct steps *steps = (struct steps *)loan;
    const mono_time until = clock_after_ms(clock_mono(), SLICE_MS);
    sqlite3_stmt *s = database_statement(store, STATEMENT_ALARM_STEPS);
    int rc = SQLITE_ROW;
    sqlite3_bind_text(s, 1, steps->last_id, -1, SQLITE_TRANSIENT); /* it moves on */
    sqlite3_bind_int64(s, 2, steps->last_step);
    sqlite3_bind_int64(s, 3, steps->wanted.since_ms);
    sqlite3_bind_int64(s, 4, steps->wanted.until_ms);
    while (steps->count < HELD && clock_mono().ns < until.ns &&
           (rc = sqlite3_step(s)) == SQLITE_ROW)
        take(steps, s);
    steps->ended = rc != SQLITE_ROW;
    steps->found.incomplete = store->in_memory && !store->known;
    if (steps->ended && rc != SQLITE_DONE) {
        snprintf(steps->why, sizeof steps->why, "%s", sqlite3_errstr(rc));
        steps->found.why = steps->why;
    }
    sqlite3_reset(s);
}

struct steps *steps_new(const struct steps_wanted *wanted)
{
    struct steps *steps = malloc(sizeof *steps);
    if (!steps)
        return NULL;
    memset(steps, 0, offsetof(struct steps, held));
    steps->loan.fetch = fetch;
    steps->loan.free = release;
    steps->wanted = *wanted;
    return steps;
}

struct loan *steps_loan(struct steps *steps)
{
    return &steps->loan;
}

enum steps_next steps_next(struct steps *steps, const struct lane_event **out)
{
    if (steps->read < steps->count) {
        *out = &steps->held[steps->read++];
        return STEPS_ONE;
    }
    steps->read = steps->count = 0;
    return steps->ended ? STEPS_END : STEPS_FETCH;
}

struct steps_found steps_found(const struct steps *steps)
{
    return steps->found;
}

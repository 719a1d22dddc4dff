/* A damaged file is set aside, and what can be saved goes into a new one. What returns int returns
 * the result of SQLite, SQLITE_OK with the store on the new file. */
#ifndef LIFELINE_SALVAGE_H
#define LIFELINE_SALVAGE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"

struct store;

enum salvage_stage {
    SALVAGE_SEARCH, /* what is owed, number by number */
    SALVAGE_COMB,   /* something of it was not found: page by page */
    SALVAGE_MISSING /* and what is nowhere becomes a Gap */
};

/* How far rows were saved out of a damaged file. */
struct salvage_place {
    enum salvage_stage stage;
    size_t epoch;
    int sector;
    uint64_t seq;
    unsigned misses; /* in a row */
    bool missed;     /* any */
    int64_t page;    /* combed */
    bool refused;    /* by the disk or the memory, without a word on what is there, */
    mono_time refused_at, again_at; /* since then; not before */
};

int salvage_starting(struct store *store);
int salvage_into_empty(struct store *store);
/* *found: the file is empty, beside a damaged one that nothing was saved from yet. */
int salvage_find(struct store *store, bool *found);
int salvage_running(struct store *store);
int salvage_replace(struct store *store);
bool salvage_load(struct store *store);
bool salvage_write(struct store *store, size_t epochs);
void salvage_begin(struct store *store);
bool salvage_run(struct store *store); /* the next slice of rows; true when there are more */
/* A row that must be there was not found. True: wait, it is looked for in the whole file, which is
 * replaced, though not sooner than some minutes after the last time. False: there is no other place
 * to look, or the file has had too many epochs to be replaced. */
bool salvage_ask(struct store *store);
/* Into the new file, under that key: a row of STATEMENT_SEGMENT_READ. */
bool salvage_put(struct store *store, sqlite3_stmt *row, int64_t id);
/* Goes on with what a restart interrupted. */
void salvage_resume(struct store *store);
void salvage_stop(struct store *store);

#endif

/* A damaged file is set aside, and what can be saved goes into a new one. What returns int returns
 * the result of SQLite, SQLITE_OK with the store on the new file. */
#ifndef LIFELINE_SALVAGE_H
#define LIFELINE_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* How far rows were saved out of a damaged file. */
struct salvage_place {
    size_t epoch;
    int sector;
    uint64_t seq;
    unsigned misses; /* in a row */
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
/* Goes on with what a restart interrupted. */
void salvage_resume(struct store *store);
void salvage_stop(struct store *store);

#endif

/* The first transaction of a start. False: the database refused or memory ran out, and the caller
 * rolls back. */
#ifndef LIFELINE_RECOVER_H
#define LIFELINE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

struct store;

/* What a file tells of the end of each sector's sampling; 0 = nothing was stored. */
struct traces {
    int64_t newest_ms[SECTOR_COUNT]; /* the newest stored sample */
    int64_t whole_ms[SECTOR_COUNT];  /* up to here nothing can be missing */
};

/* A whole start; the result of SQLite. After a failure the store is empty. */
int recover_run(struct store *store);
/* Reads what the disk holds into an empty store and closes what a crash left open; inside a
 * transaction. */
bool recover_read(struct store *store);
void recover_forget(struct store *store);
/* What stands open has that number of an epoch in its CRC. */
bool recover_is_open(struct store *store, uint64_t number);
/* The same of a damaged file, as far as it goes. */
bool recover_read_list(struct store *store, struct traces *traces); /* false: in part */
void recover_read_open(struct store *store, struct traces *traces);
void recover_note_crash(struct store *store, const struct traces *traces);

#endif

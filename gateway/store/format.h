/* Which version of the tables a store has, and the way from an earlier one to this program's. */
#ifndef LIFELINE_FORMAT_H
#define LIFELINE_FORMAT_H

#include <sqlite3.h>
#include <stdbool.h>

struct store;

enum {
    /* Raised by whatever makes a store that the programs before would read wrongly. A table more
     * does not: they leave it alone. */
    FORMAT = 1,
    FORMAT_UNNUMBERED = 0, /* written by 0.2 to 0.5 */
    FORMAT_EMPTY = -1,     /* no tables at all */
};

/* SQLITE_OK and the version; SQLITE_FORMAT: a later program's, not to be touched; SQLITE_CORRUPT:
 * what stands there is no version; or why it cannot be read. */
int format_read(sqlite3 *db, int *version);
/* The way from that version, inside the caller's transaction, with all tables there and all
 * statements prepared. False: the database refused or memory ran out. */
bool format_migrate(struct store *store, int version);
/* From the head of the file or of its copy in the log, whoever has them open: true when a later
 * program wrote it. */
bool format_is_later(const char *path);

#endif

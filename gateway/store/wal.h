/* What a write-ahead log says of the end of the process that wrote it. */
#ifndef LIFELINE_WAL_H
#define LIFELINE_WAL_H

enum wal_state {            /* ever worse */
                 WAL_NONE,  /* it ended well: SQLite removes the log then */
                 WAL_WHOLE, /* it died; all of the log counts, but for what was not yet committed */
                 WAL_BROKEN, /* a part of it does not count any more that may have been committed */
};

/* path: of the database. Reads the log once, from begin to end. */
enum wal_state wal_look(const char *path);

#endif

/* What the files of history share among themselves. Nobody else includes it. */
#ifndef LIFELINE_STORE_HISTORY_PARTS_H
#define LIFELINE_STORE_HISTORY_PARTS_H

#include "gateway/store/history.h"
#include "proto/names.h"
#include "proto/segment_read.h"

enum history_phase {
    HISTORY_PHASE_BEGIN, /* nothing is known yet */
    HISTORY_PHASE_NAMES, /* which points of the epoch are wanted */
    HISTORY_PHASE_ROWS,
    HISTORY_PHASE_DONE,
    HISTORY_PHASE_FAILED,
};

/* A point that is wanted. */
struct history_name {
    uint32_t device, point;
    char *texts[3]; /* of the device, the point and the unit; one allocation */
};

/* Those of one epoch, as long as a row of it is loaded. */
struct history_names {
    size_t holders;
    struct history_name *list; /* ascending by device and point */
    size_t count, capacity;
};

/* A column on its way out, standing at the reading that comes next. */
struct history_cursor {
    struct segment_read_column column;
    struct segment_reading reading;
    uint32_t name; /* index */
    struct history_row *row;
};

/* A loaded row: pending until its time has come, then the cursors of its wanted columns. */
struct history_row {
    struct history_row *next, *previous;
    struct history_names *names; /* of its epoch; set by history_merge_add() */
    int64_t base_ms;
    struct history_cursor *cursors;
    size_t unread; /* cursors that are not at their end */
    size_t length;
    uint8_t bytes[]; /* a Segment body */
};

/* The closed rows of one sector in the epoch at hand. */
struct history_stream {
    int64_t next_id, last_id;
    int64_t frontier_ms; /* rows to come begin hardly before it */
    int64_t leap;        /* ids to skip at the next damaged page */
};

struct history_epoch {
    uint32_t ordinal;
    uint64_t number;
    int64_t last_id[SECTOR_COUNT]; /* as the scan began: what closes later was open then */
};

struct history {
    struct loan loan;
    char **patterns;
    size_t pattern_count;
    int64_t since_ms, until_ms;
    enum history_phase phase;
    struct history_epoch *epochs;
    size_t epoch_count, epoch; /* the one at hand */
    struct history_row *open;  /* of the last epoch, as the scan began */

    struct history_names *names; /* of the epoch at hand; NULL before the first is known */
    struct history_names *given; /* of the reading that is out */
    int64_t named_device;        /* up to this one they are known */
    bool wanted[SECTOR_COUNT];
    struct history_stream streams[SECTOR_COUNT];
    int64_t span_ms;     /* longest row seen */
    int64_t frontier_ms; /* lowest of the streams; INT64_MAX when all have ended */
    /* of the epoch at hand, and what is left of those before; ascending by base_ms */
    struct history_row *pending, *pending_end;
    size_t bytes; /* of rows, pending or begun */
    struct history_cursor **heap;
    size_t heap_count, heap_capacity;

    uint64_t points, readings, corrupt;
    bool incomplete; /* some of it is on a disk that is out of reach */
    char why[160];
};

/* history.c */
struct history_row *history_row_new(int64_t base_ms, const uint8_t *body, size_t length);
void history_row_free(struct history_row *row);
bool history_fail(struct history *history, const char *why); /* false */

/* history_merge.c: rows into readings */
void history_merge_add(struct history *history, struct history_row *row);
/* On to the next epoch, beside what is loaded of this one. */
void history_merge_next_epoch(struct history *history);
/* All that is loaded. */
void history_merge_drop(struct history *history);

#endif

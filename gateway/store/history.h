/* History out of the store: every reading of some points in a span of time, oldest first.
 *
 * A scan is fetched in slices of some milliseconds by whoever owns the connection, and read by
 * whoever asked; it belongs to one of the two at a time. With a daemon the store thread fetches
 * between two commits:
 *
 *     api ── loan_lend ──> [ store thread: history_fetch ] ── wake ──> api: loan_back,
 *                                                           history_next ... until HISTORY_FETCH
 *
 * Without one the command line opens the file itself and does both.
 *
 * Order: epochs one after the other; within an epoch by time, over all sectors and points. That is
 * exact as long as the segments that overlap fit into HISTORY_BYTES and the clock never stepped
 * back; whatever else comes is still there, a little out of order. Nothing comes twice. */
#ifndef LIFELINE_HISTORY_H
#define LIFELINE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "gateway/store/loan.h"
#include "proto/value.h"

struct history;
struct store;

enum {
    HISTORY_SLICE_MS = 10,          /* a slice ends at the next row after it */
    HISTORY_BYTES = 2 << 20,        /* of rows that a scan holds */
    HISTORY_SINCE_MS = 3600 * 1000, /* back from now, for who does not say */
};

/* patterns: "device" or "device.point", with * and ?; copied. From since_ms on, before until_ms.
 * NULL when there is no memory. */
struct history *history_new(const char *const *patterns, size_t count, int64_t since_ms,
                            int64_t until_ms);
void history_free(struct history *history);

enum history_step {
    HISTORY_READING,
    HISTORY_FETCH, /* to be lent to the store once more */
    HISTORY_END,
    HISTORY_FAILED, /* history_end() says why */
};

struct history_reading {
    const char *device, *point, *unit; /* until the next step */
    int64_t time_ms;
    struct value value;
    uint8_t decimals;
    bool is_float;
};

enum history_step history_next(struct history *history, struct history_reading *out);

/* What the scan found so far; the whole at its end. */
struct history_end {
    uint64_t points; /* names that the patterns matched, in all epochs; 0 = no such point */
    uint64_t readings;
    uint64_t damaged_rows; /* left out */
    bool incomplete;       /* some of it is on a disk that is out of reach */
    const char *why;       /* it failed; else NULL */
};

struct history_end history_end(const struct history *history);

/* For the store thread of a daemon: loan_abandon() frees it. */
struct loan *history_loan(struct history *history);

/* ---- without a daemon ---- */

enum history_open { HISTORY_OPENED, HISTORY_NO_STORE, HISTORY_IN_USE };

/* Opens the settings' store as it is: takes its lock, changes nothing, not even what a crash left.
 * Anything but HISTORY_OPENED comes with the reason in why. */
enum history_open history_open(const struct settings *settings, struct store **out, char *why,
                               size_t why_size) __attribute__((warn_unused_result));
void history_close(struct store *store);

/* One slice. */
void history_fetch(struct store *store, struct history *history);

#endif

/* A damaged file page by page, whatever its tree says. */
#ifndef LIFELINE_COMB_H
#define LIFELINE_COMB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* The key that the CRC of a row of STATEMENT_SEGMENT_READ vouches for: its own, or one that differs
 * in a bit and is owed; 0: none. */
int64_t comb_key(const struct store *store, sqlite3_stmt *row);
/* Saves the rows of one page of the wreck that are owed and not there yet, and adds up the bytes
 * that it looked at. *rc: how the wreck ended it. False: the new file refuses. */
bool comb_page(struct store *store, int64_t page, size_t *bytes, int *rc);

#endif

/* Where the store writes: the disk, or memory while the disk refuses. */
#ifndef LIFELINE_MEDIA_H
#define LIFELINE_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

struct store;

/* At the start. False: another process has the store, or there is no memory. */
bool media_open(struct store *store, char *why, size_t why_size);
/* Tries the disk; true when the store is back on it. */
bool media_return(struct store *store);
/* Where salvage_ask() was asked: the damaged file is set aside and replaced. */
void media_replace(struct store *store);
/* After a failed commit; true when another try is worth it. */
bool media_rescue(struct store *store, int rc, unsigned attempt);

#endif

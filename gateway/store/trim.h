/* Room in the store: age and quota. */
#ifndef LIFELINE_TRIM_H
#define LIFELINE_TRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* A slice of the work; true when there is more. */
bool trim_run(struct store *store);
/* Free pages at once, by the oldest rows. False when there is nothing to gain. */
bool trim_make_room(struct store *store, size_t bytes);
/* More is used than the quota allows. */
bool trim_is_due(struct store *store);
uint64_t trim_bytes(struct store *store); /* of the database, free pages and all */
uint64_t trim_used(struct store *store);  /* without them */

#endif

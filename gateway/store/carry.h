/* Rows of one epoch from one database into another, inside the caller's transaction. False: either
 * of the two refused. */
#ifndef LIFELINE_CARRY_H
#define LIFELINE_CARRY_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct store;

struct carry {
    struct connection *from;
    uint32_t ordinal, to; /* as the epoch is called there and here */
};
bool carry_epoch(struct store *store, const struct carry *carry);
bool carry_identity(struct store *store, const struct carry *carry);
/* Ids and Gaps out of a damaged file. */
bool carry_readable(struct store *store, const struct carry *carry);
/* Alarms, reports and what rules have learned, which belong to no epoch. damaged: what cannot be
 * read is left out. */
bool carry_alarms(struct store *store, struct connection *from, bool damaged);

#endif

/* What an uplink owes, as it stands on disk. False: SQLite, or no memory. */
#ifndef LIFELINE_DEBTS_H
#define LIFELINE_DEBTS_H

#include <stdbool.h>
#include <stdint.h>

struct debtor;
struct ranges;
struct store;

/* Of all streams of an uplink that was kept, for the sectors whose bits are in `known`: of another
 * there is no list. *doubt becomes true where one was damaged, and the whole of its stream is owed.
 */
bool debts_read(struct store *store, struct debtor *debtor, int64_t known, bool *doubt)
    __attribute__((warn_unused_result));
/* Of one stream, in place of what stands there. */
bool debts_write(struct store *store, const struct debtor *debtor, uint32_t ordinal, int sector,
                 const struct ranges *unacked) __attribute__((warn_unused_result));
/* All that is there of a sector is owed: the uplink was not kept for it so far. In memory. */
bool debts_owe(struct store *store, struct debtor *debtor, int sector);

/* The lists of a store that was written before they had a check get one, as they stand. */
bool debts_vouch(struct store *store);

#endif

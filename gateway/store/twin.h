/* A second copy, beside the database, of the little that all else in it hangs on. Store thread, and
 * main() at the start. */
#ifndef LIFELINE_TWIN_H
#define LIFELINE_TWIN_H

#include <stdbool.h>
#include <stdint.h>

struct store;
struct traces;

/* After the commit that began an epoch, and at the end; a disk that refuses is tried again then. */
void twin_write(const struct store *store, bool running);
/* When it was written: a database that says it was closed since has lost its log. */
bool twin_was_running(const struct store *store);
/* False: the database that was opened is older than its twin, or its epochs have other numbers. */
bool twin_agrees(struct store *store);
/* What was read of a damaged file, made whole; before rows and debts are looked at. */
bool twin_complete(struct store *store, struct traces *traces);
/* Of the damaged file of that name, before it is opened: a first page that is not what it was is
 * put right, so that the others can be read. The old one is kept beside it. */
void twin_mend(const struct store *store, int64_t stamp);

#endif

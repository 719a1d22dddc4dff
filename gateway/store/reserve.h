/* Room on the disk: the reserve file, and the size that the database may reach. */
#ifndef LIFELINE_RESERVE_H
#define LIFELINE_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

struct store;

/* After the database was opened: its sizes, and the reserve file. */
void reserve_prepare(struct store *store);
/* Gives the reserve up at a start that finds no room; false when there was none. */
bool reserve_release(const struct store *store);
/* A commit found no room. True: there may be some now. */
bool reserve_relieve(struct store *store);
/* Bytes of bodies that one transaction takes. */
size_t reserve_portion(const struct store *store);
void reserve_committed(struct store *store);
/* Now and then: is there room again? */
void reserve_look(struct store *store);

#endif

/* The list of epochs: an ordinal, which keys rows and is small, and the number on the wire. It
 * stands in the file twice, because a row is worth nothing without the number that its CRC covers.
 * False: the database refused or memory ran out. */
#ifndef LIFELINE_EPOCHS_H
#define LIFELINE_EPOCHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Where an epoch stands in store->epochs; epoch_count when it is not there. */
size_t epochs_index(const struct store *store, uint32_t ordinal);

/* A number for this board; 0 where it has none. */
int64_t epochs_board(void);

struct epochs_found {
    int64_t board; /* that wrote the last one; our own where none is told */
    bool doubt;    /* the two lists differ: rows said which is right, where they could */
    bool single;   /* there is only one of them */
};

/* Both lists of the database into an empty store->epochs. False, after what could be read: one of
 * them cannot be read whole. */
bool epochs_read(struct store *store, struct epochs_found *out);

/* store->epochs into both lists of the database, and nothing else. */
bool epochs_rewrite(struct store *store);

/* False, and said once: no file takes that many, and one beyond them would not be found again. */
bool epochs_may_begin(struct store *store, uint32_t ordinal);
bool epochs_write(struct store *store, uint32_t ordinal, uint64_t number);
bool epochs_append(struct store *store, uint32_t ordinal, uint64_t number);
/* Both: an epoch begins. */
bool epochs_begin(struct store *store, uint32_t ordinal, uint64_t number);
bool epochs_delete(struct store *store, uint32_t ordinal);

#endif

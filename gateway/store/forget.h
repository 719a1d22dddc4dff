/* Epochs that nobody needs any more. */
#ifndef LIFELINE_FORGET_H
#define LIFELINE_FORGET_H

#include <stdbool.h>
#include <stdint.h>

struct store;

void forget_run(struct store *store);
bool forget_delete(struct store *store, uint32_t ordinal);

#endif

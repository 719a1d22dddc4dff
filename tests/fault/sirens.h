/* Alarms for fault_store: sites whose alarms are raised, change and end, and an uplink that takes
 * them. One thread. */
#ifndef LIFELINE_FAULT_SIRENS_H
#define LIFELINE_FAULT_SIRENS_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/lane.h"

struct sirens;
struct store;

/* Before store_start(): what is in force goes on. In the folder, new for each life, `sirens` gets
 * what was restored, put and taken. NULL without memory. */
struct sirens *sirens_new(struct store *store, const char *folder, uint64_t seed);
/* After the store has ended. */
void sirens_free(struct sirens *sirens);

/* Perhaps a step of some alarm. */
void sirens_step(struct sirens *sirens, int64_t at_ms);
/* Takes what is owed and acknowledges some of what was taken; all of it when kind. True when there
 * was nothing to do. */
bool sirens_uplink(struct sirens *sirens, bool kind);
/* What is under way was perhaps received. */
void sirens_reconnect(struct sirens *sirens);

#endif

/* Ids of devices and points, in the caller's transaction. False: the database refused. */
#ifndef LIFELINE_IDENTITY_H
#define LIFELINE_IDENTITY_H

#include <stdbool.h>

struct settings;
struct store;
struct store_ids;

bool identity_register(struct store *store);
/* The same ids in another database. */
bool identity_repeat(struct store *store);
void identity_free(struct store_ids *ids, const struct settings *settings);

#endif

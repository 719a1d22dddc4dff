/* A damaged file that was set aside, opened to be read. */
#ifndef LIFELINE_WRECK_H
#define LIFELINE_WRECK_H

#include <stdint.h>

struct connection;
struct store;

/* What can be read of it. Nothing is changed in it, but for a first page that leads nowhere: that
 * is kept as PATH-first and replaced by the one of an empty store. out->db is NULL when nothing can
 * be read. */
void wreck_open(const struct store *store, int64_t stamp, struct connection *out);

#endif

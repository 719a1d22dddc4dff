/* The store thread's half of store_reload(). */
#ifndef LIFELINE_ADOPT_H
#define LIFELINE_ADOPT_H

#include <stdbool.h>

struct store;

bool adopt_is_asked(struct store *store);
/* committed: nothing waits to be written */
void adopt_run(struct store *store, bool committed);

#endif

/* Is a broker there again? One TCP connect that says nothing, beside the connection in use. */
#ifndef LIFELINE_SCOUT_H
#define LIFELINE_SCOUT_H

#include "config/settings.h"

struct scout;

enum scout_answer { SCOUT_WAITING, SCOUT_THERE, SCOUT_ABSENT };

/* NULL when there is nothing left to look with. */
struct scout *scout_start(const struct settings_url *url);
void scout_free(struct scout *scout);

/* For poll(). */
int scout_fd(const struct scout *scout);
short scout_events(const struct scout *scout);

/* Call it when poll() said something, and before. Does not give up by itself. */
enum scout_answer scout_look(struct scout *scout);

#endif

/* What /metrics tells, for the manual page. */
#ifndef LIFELINE_METRICS_H
#define LIFELINE_METRICS_H

#include <stddef.h>

struct metrics_family {
    const char *name, *type, *help;
};

/* The one of that number; its name is NULL when there are no more. */
struct metrics_family metrics_family(size_t number);

#endif

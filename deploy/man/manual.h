/* The marks of a skeleton, and how text becomes mdoc. */
#ifndef LIFELINE_MANUAL_H
#define LIFELINE_MANUAL_H

#include <stdbool.h>
#include <stdio.h>

/* Writes what stands for a mark; false when the argument is none that it knows. */
struct manual_mark {
    const char *name;
    bool (*put)(FILE *out, const char *argument);
};

/* Ends with one that has no name. */
extern const struct manual_mark manual_marks[];

#endif

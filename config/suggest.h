/* "did you mean": the nearest of the names that would have been right. */
#ifndef LIFELINE_SUGGEST_H
#define LIFELINE_SUGGEST_H

#include <stddef.h>

struct suggest {
    const char *word; /* what was written */
    const char *best;
    size_t distance;
    char text[96];
};

struct suggest suggest_start(const char *word);
void suggest_offer(struct suggest *suggest, const char *candidate);

/* `; did you mean "NAME"?`, or "" when no candidate is near enough. */
const char *suggest_text(struct suggest *suggest);

#endif

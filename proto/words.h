/* A text for people in the two languages, side by side, in const tables. */
#ifndef LIFELINE_WORDS_H
#define LIFELINE_WORDS_H

struct words {
    const char *zh, *en;
};

#endif

/* What a report doubts, in the language of people. */
#ifndef LIFELINE_DOUBTS_H
#define LIFELINE_DOUBTS_H

#include <stddef.h>

/* A doubt as a report says it, in English; in Chinese where that is spoken and the sentence is one
 * of ours, itself otherwise. */
const char *doubts_say(const char *doubt, char *out, size_t size);

#endif

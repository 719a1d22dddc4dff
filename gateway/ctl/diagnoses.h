/* The diagnoses of the sensor classes and what rules with them take, as keys like those of the
 * files: diagnoses.burst.within. */
#ifndef LIFELINE_DIAGNOSES_H
#define LIFELINE_DIAGNOSES_H

#include <jansson.h>

/* An array, each like a key of config.c; the caller owns it. */
json_t *diagnoses_keys(void);

#endif

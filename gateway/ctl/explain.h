/* check --explain: which alarm rules are in force where, and where each number comes from. */
#ifndef LIFELINE_EXPLAIN_H
#define LIFELINE_EXPLAIN_H

#include <jansson.h>

#include "config/settings.h"

/* where: DEVICE.POINT, DEVICE, or "all". An array, empty when there is no such point. */
json_t *explain_rules(const struct settings *settings, const char *where);
void explain_show(const json_t *rules);

#endif

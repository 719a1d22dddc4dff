/* AlarmEvent as JSON, the same from the API and from a broker: field names are those of the .proto,
 * enums by name, times UTC ms, 0 left out. */
#ifndef LIFELINE_ALARM_JSON_H
#define LIFELINE_ALARM_JSON_H

#include <jansson.h>

#include "proto/alarm.h"

json_t *alarm_json(const struct alarm_event *event);

#endif

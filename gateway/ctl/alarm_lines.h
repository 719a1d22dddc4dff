/* One step of an alarm as people read it. */
#ifndef LIFELINE_ALARM_LINES_H
#define LIFELINE_ALARM_LINES_H

#include <jansson.h>
#include <stdint.h>

/* An alarm of alarm_json.h on stdout, at most 80 columns: level in its colour, time, place, what
 * happened and for how long; below it what is the matter, the threshold and by whose word, a hint,
 * who took it. gateway stands in front; NULL: there is but one. */
void alarm_lines(const json_t *alarm, const char *gateway);

/* Of a cleared one the level that it had. */
uint8_t alarm_lines_level(const json_t *alarm);

#endif

/* What alarms went through, out of the daemon's store. */
#ifndef LIFELINE_ALARM_STEPS_H
#define LIFELINE_ALARM_STEPS_H

#include "gateway/ctl/ctl.h"

/* alarms --since T [--until T] [--level N] [--sector S]: every alarm that said something then, as
 * it stands at the end of that time; the one that was seen first first; `shown`, unless NULL,
 * is told of it. */
enum ctl_exit alarm_steps_since(struct ctl *ctl, void (*shown)(void *context, const json_t *step),
                                void *context);

/* alarms show ID: the whole life of one, with what was measured. part: begin or end of its id. */
enum ctl_exit alarm_steps_show(struct ctl *ctl, const char *part);

#endif

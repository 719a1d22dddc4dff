/* What a broker objects to among the topics of alarms: by a refusal, or by ending the connection
 * over what was on its way there (mosquitto does both at once to a denied topic while
 * max_queued_messages is 0). Pure; milliseconds of the monotonic clock. */
#ifndef LIFELINE_OBJECTION_H
#define LIFELINE_OBJECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/names.h"

enum {
    OBJECTION_REST_MS = 20000, /* until it is tried again */
    OBJECTION_FALLS = 2,       /* connections that ended while it alone was on its way */
};

enum objection_topic { OBJECTION_ALARM, OBJECTION_REPORT, OBJECTION_ACTIVE, OBJECTION_TOPICS };

/* One topic of one sector; zeroed: none. */
struct objection {
    bool rests;
    int64_t until_ms;
    bool suspect; /* a connection ended while it was on its way: it goes alone */
    unsigned falls;
};

struct objections {
    struct objection of[OBJECTION_TOPICS][SECTOR_COUNT];
};

bool objection_rests(const struct objection *objection, int64_t now_ms);

/* The three words of a broker. True where something begins or ends that is worth a line: it rests
 * from now on, it rested until now. alone: nothing else was on its way. */
bool objection_refused(struct objection *objection, int64_t now_ms);
bool objection_ended(struct objection *objection, bool alone, int64_t now_ms);
bool objection_taken(struct objection *objection);

/* Is there anything that goes alone? */
bool objections_suspect(const struct objections *objections);

/* Nothing is left to be sent there. */
void objections_acquit(struct objections *objections, enum objection_topic topic);

#endif

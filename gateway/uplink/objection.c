/* Whom a broker's refusals and hang-ups are blamed on, of the topics of alarms.
 *
 * Pure; each uplink's thread owns its struct. A refusal names its topic. The end of a connection
 * names nobody: all that was on its way is suspect, and goes alone from then on, so that the next
 * end has one culprit only. One end may be the link's, so it takes two.
 * Never publishes, never reads a clock. */
#include "gateway/uplink/objection.h"

#include <stddef.h>

bool objection_rests(const struct objection *objection, int64_t now_ms)
{
    return objection->rests && now_ms < objection->until_ms;
}

bool objection_refused(struct objection *objection, int64_t now_ms)
{
    bool begins = !objection->rests;
    *objection = (struct objection){.rests = true, .until_ms = now_ms + OBJECTION_REST_MS};
    return begins;
}

bool objection_ended(struct objection *objection, bool alone, int64_t now_ms)
{
    objection->suspect = true;
    objection->falls += alone;
    /* what has rested before is known for it */
    if (objection->falls < OBJECTION_FALLS && !(alone && objection->rests))
        return false;
    return objection_refused(objection, now_ms);
}

bool objection_taken(struct objection *objection)
{
    bool rested = objection->rests;
    *objection = (struct objection){0};
    return rested;
}

bool objections_suspect(const struct objections *objections)
{
    for (size_t t = 0; t < OBJECTION_TOPICS; t++) {
        for (size_t s = 0; s < SECTOR_COUNT; s++) {
            if (objections->of[t][s].suspect)
                return true;
        }
    }
    return false;
}

void objections_acquit(struct objections *objections, enum objection_topic topic)
{
    for (size_t s = 0; s < SECTOR_COUNT; s++) {
        objections->of[topic][s].suspect = false;
        objections->of[topic][s].falls = 0;
    }
}

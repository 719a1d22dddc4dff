/* AlarmEvent: a C struct to and from its bytes on the wire. Pure.
 *
 * The same bytes are stored, published, and shown: whatever wants to see an alarm reads them. */
#ifndef LIFELINE_ALARM_H
#define LIFELINE_ALARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/names.h"

enum {
    ALARM_ID_LENGTH = 26, /* a ULID */
    ALARM_EVIDENCE_MAX = 8,
    ALARM_TEXT_MAX = 240, /* bytes of each text, the hint and the source, NUL included; longer ones
                             are cut between characters */
    ALARM_EVENT_MAX = 4096, /* bytes of a packed event: never more */
};

struct alarm_evidence {
    uint32_t point;   /* id on the wire */
    const char *name; /* DEVICE.POINT */
    int64_t at_ms;
    double value;
    enum quality quality;
};

/* Field for field as wire.md and lifeline.proto say. Strings are borrowed and never NULL. Times are
 * UTC ms, 0 = not given. */
struct alarm_event {
    char id[ALARM_ID_LENGTH + 1];
    uint32_t step; /* from 1 */
    const char *gateway, *region;
    enum sector sector;
    enum alarm_kind kind;
    const char *rule;
    const char
        *key; /* DEVICE.POINT/RULE, or DEVICE/RULE: the same for the life of the alarm's cause */
    uint8_t level, previous_level; /* enum level; a cleared one has level 0 */
    enum alarm_status status;
    uint32_t device, point; /* ids on the wire; point 0 = of the whole device */
    const char *device_name, *quantity, *unit, *asset, *grid;
    bool has_position;
    double longitude, latitude;
    uint32_t crs; /* 1 CGCS2000, 2 WGS84 */
    double value, threshold;
    const char *threshold_source;
    double peak; /* the worst value so far */
    int64_t peak_ms;
    int64_t first_ms;  /* the condition was first seen */
    int64_t raised_ms; /* RAISED */
    int64_t at_ms;     /* this step */
    int64_t cleared_ms;
    enum clock_state clock;
    struct alarm_evidence evidence[ALARM_EVIDENCE_MAX];
    size_t evidence_count;
    const char *text_zh, *text_en;
    uint32_t confidence; /* percent; 0 = not given */
    const char *hint;    /* what else may be known; never a cause that cannot be seen */
    const char *actor, *note;
};

/* Returns the length, at most ALARM_EVENT_MAX; 0 when the capacity is too small or one of the
 * names, the actor or the note is not UTF-8 (what came through alarm_cut() is). */
size_t alarm_pack(const struct alarm_event *event, uint8_t *out, size_t capacity);

/* out's strings point into what is returned, to be freed with alarm_free(); NULL, and out is not
 * touched, when the bytes are no AlarmEvent or say what none of ours can (an id that is no ULID, a
 * level above 4, an unknown status or sector, more evidence than fits). */
struct alarm_memory;
struct alarm_memory *alarm_unpack(const uint8_t *bytes, size_t length, struct alarm_event *out)
    __attribute__((warn_unused_result));
void alarm_free(struct alarm_memory *memory);

/* Copies a text, cut between two characters where it does not fit; bytes that are no UTF-8 become
 * "?", or one of them would keep an alarm from being read by anybody. */
void alarm_cut(char *out, size_t size, const char *text);

#endif

/* What an alarm says to people, in Chinese and in English. Pure. */
#ifndef LIFELINE_ALARM_TEXT_H
#define LIFELINE_ALARM_TEXT_H

#include "config/settings.h"
#include "proto/alarm.h"

/* What the words are about. */
struct alarm_subject {
    const struct settings *settings;
    uint32_t device, point; /* of the settings; point UINT32_MAX: of the whole device */
    const struct rule *rule;
    enum alarm_status status;
    uint8_t level, previous_level; /* as in AlarmEvent */
    double value;                  /* what the rule compares; silent, flat: ms */
    int64_t lasted_ms;             /* since RAISED, of a CLEARED; below 0: not known */
};

void alarm_text(const struct alarm_subject *subject, char zh[ALARM_TEXT_MAX],
                char en[ALARM_TEXT_MAX]);

/* The same where a diagnosis has its own words for what it sees. */
void alarm_text_of_diagnosis(const struct alarm_subject *subject, const char *said_zh,
                             const char *said_en, char zh[ALARM_TEXT_MAX], char en[ALARM_TEXT_MAX]);

#endif

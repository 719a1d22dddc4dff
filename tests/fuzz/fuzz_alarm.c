/* libFuzzer target: any bytes as an alarm or a report from a disk or a broker.
 *
 * One thread. What is taken is what one of ours can say, and packed again it is the same event;
 * ActiveAlarms stays a message whatever is put into it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/active.h"
#include "proto/alarm.h"
#include "proto/message.h"
#include "proto/report.h"
#include "proto/ulid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

/* Texts may have been cut, so that it is the third time that must equal the second. */
static void again(const struct alarm_event *event)
{
    static uint8_t second[ALARM_EVENT_MAX], third[ALARM_EVENT_MAX];
    struct alarm_event back;
    size_t length = alarm_pack(event, second, sizeof second);
    if (!length)
        return; /* defaults written out, and fields that we do not know, make room for more */
    struct alarm_memory *memory = alarm_unpack(second, length, &back);
    must(memory && back.step == event->step && strcmp(back.key, event->key) == 0);
    must(alarm_pack(&back, third, sizeof third) == length && memcmp(second, third, length) == 0);
    alarm_free(memory);
}

static void try_alarm(const uint8_t *data, size_t size)
{
    struct alarm_event event;
    struct alarm_memory *memory = alarm_unpack(data, size, &event);
    if (!memory)
        return;
    must(ulid_is(event.id) && event.step > 0 && event.level < LEVEL_COUNT);
    must(event.sector > SECTOR_UNSPECIFIED && event.sector < SECTOR_COUNT);
    must((event.level == LEVEL_NONE) == (event.status == ALARM_STATUS_CLEARED));
    must(event.evidence_count <= ALARM_EVIDENCE_MAX && event.threshold_source && event.note);
    again(&event);
    alarm_free(memory);
}

static void try_list(const uint8_t *data, size_t size)
{
    static uint8_t bytes[3000];
    struct active active;
    struct alarm_event event;
    struct alarm_memory *memory = alarm_unpack(data, size, &event);
    must(active_begin(&active, bytes, sizeof bytes, "gw", SECTOR_GAS, 1));
    active_add(&active, data, size);
    active_add(&active, data, size);
    size_t length = active_end(&active);
    must(length <= sizeof bytes && active.entries + active.omitted == 2);
    /* only what was unpacked once comes into the lane */
    if (memory) {
        ProtobufCMessage *list =
            message_unpack(&lifeline__v1__active_alarms__descriptor, bytes, length, sizeof bytes);
        must(list && ((Lifeline__V1__ActiveAlarms *)list)->n_alarms == active.entries);
        message_free(list);
    }
    alarm_free(memory);
}

static void try_report(const uint8_t *data, size_t size)
{
    static uint8_t second[REPORT_MAX];
    struct report_runoff report, back;
    struct report_memory *memory = report_unpack_runoff(data, size, &report);
    if (!memory)
        return;
    size_t length = report_pack_runoff(&report, second, sizeof second);
    struct report_memory *other = length ? report_unpack_runoff(second, length, &back) : NULL;
    must(!length || (other && back.grade == report.grade && back.to_ms == report.to_ms));
    report_free(other);
    report_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_alarm(data, size);
    try_list(data, size);
    try_report(data, size);
    return 0;
}

/* Report to and from bytes, around protobuf-c.
 *
 * Pure; any thread. Packing borrows every string and allocates nothing; unpacking allocates one
 * message, which its strings live in. What comes from a disk or a broker is not trusted. Never
 * leaves out a doubt without saying so. */
#include "proto/report.h"

#include <assert.h>
#include <stdio.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

#define SAME(a, b)                                                                                 \
    _Static_assert((int)REPORT_GRADE_##a == (int)LIFELINE__V1__RUNOFF_GRADE__RUNOFF_GRADE_##b,     \
                   #a " is what lifeline.proto says")
SAME(UNSPECIFIED, UNSPECIFIED);
SAME(A, A);
SAME(B, B);
SAME(C, C);
SAME(INSUFFICIENT, INSUFFICIENT);
SAME(NOT_EVALUATED, NOT_EVALUATED);
SAME(IMPLAUSIBLE, IMPLAUSIBLE);
#undef SAME

struct report_memory; /* a generated message under another name */

static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text; /* packing only reads it */
}

/* ---- packing ---- */

static void fill_event(const struct report_runoff *report, Lifeline__V1__RunoffEvent *out)
{
    *out = (Lifeline__V1__RunoffEvent)LIFELINE__V1__RUNOFF_EVENT__INIT;
    out->catchment = borrow(report->catchment);
    out->id = borrow(report->id);
    out->grade = (Lifeline__V1__RunoffGrade)report->grade;
    out->from_ms = report->from_ms;
    out->to_ms = report->to_ms;
    out->rain_mm = report->rain_mm;
    out->area_ha = report->area_ha;
    out->rain_m3 = report->rain_m3;
    out->outflow_m3 = report->outflow_m3;
    out->base_flow_m3_s = report->base_flow_m3_s;
    out->captured = report->captured;
    out->uncertainty = report->uncertainty;
    out->rain_coverage = report->rain_coverage;
    out->flow_coverage = report->flow_coverage;
    out->peak_m3_s = report->peak_m3_s;
    out->peak_ms = report->peak_ms;
    out->lag_ms = report->lag_ms;
    out->partial = report->partial;
}

/* The last doubts give way until the rest fits; `more` says it. */
static void leave_out(const Lifeline__V1__Report *message, Lifeline__V1__RunoffEvent *event,
                      char *more, size_t size)
{
    size_t all = event->n_doubts;
    while (event->n_doubts > 1 && protobuf_c_message_get_packed_size(&message->base) > REPORT_MAX) {
        event->n_doubts--;
        snprintf(more, size, "and %zu doubts more", all - event->n_doubts + 1);
        event->doubts[event->n_doubts - 1] = more;
    }
}

size_t report_pack_runoff(const struct report_runoff *report, uint8_t *out, size_t capacity)
{
    Lifeline__V1__Report message = LIFELINE__V1__REPORT__INIT;
    Lifeline__V1__RunoffEvent event;
    char *doubts[REPORT_DOUBTS_MAX], more[40];
    assert(report->doubt_count <= REPORT_DOUBTS_MAX);
    fill_event(report, &event);
    for (size_t i = 0; i < report->doubt_count; i++)
        doubts[i] = borrow(report->doubts[i]);
    event.doubts = doubts;
    event.n_doubts = report->doubt_count;
    message.gateway = borrow(report->gateway);
    message.sector = (Lifeline__V1__Sector)report->sector;
    message.at_ms = report->at_ms;
    message.what_case = LIFELINE__V1__REPORT__WHAT_RUNOFF;
    message.runoff = &event;
    leave_out(&message, &event, more, sizeof more);
    size_t most = capacity < REPORT_MAX ? capacity : REPORT_MAX;
    return message_is_text(&message.base) ? message_pack(&message.base, out, most) : 0;
}

/* ---- unpacking ---- */

static bool is_sane(const Lifeline__V1__Report *message)
{
    int sector = (int)message->sector;
    if (message->what_case != LIFELINE__V1__REPORT__WHAT_RUNOFF || !message->runoff)
        return false;
    int grade = (int)message->runoff->grade;
    return sector > SECTOR_UNSPECIFIED && sector < SECTOR_COUNT &&
           grade > REPORT_GRADE_UNSPECIFIED && grade <= REPORT_GRADE_IMPLAUSIBLE &&
           message->runoff->n_doubts <= REPORT_DOUBTS_MAX;
}

static void read_report(const Lifeline__V1__Report *message, struct report_runoff *out)
{
    const Lifeline__V1__RunoffEvent *event = message->runoff;
    *out = (struct report_runoff){
        .gateway = message->gateway,
        .sector = (enum sector)message->sector,
        .at_ms = message->at_ms,
        .catchment = event->catchment,
        .id = event->id,
        .grade = (enum report_grade)event->grade,
        .from_ms = event->from_ms,
        .to_ms = event->to_ms,
        .rain_mm = event->rain_mm,
        .area_ha = event->area_ha,
        .rain_m3 = event->rain_m3,
        .outflow_m3 = event->outflow_m3,
        .base_flow_m3_s = event->base_flow_m3_s,
        .captured = event->captured,
        .uncertainty = event->uncertainty,
        .rain_coverage = event->rain_coverage,
        .flow_coverage = event->flow_coverage,
        .peak_m3_s = event->peak_m3_s,
        .peak_ms = event->peak_ms,
        .lag_ms = event->lag_ms,
        .doubt_count = event->n_doubts,
        .partial = event->partial,
    };
    for (size_t i = 0; i < event->n_doubts; i++)
        out->doubts[i] = event->doubts[i];
}

struct report_memory *report_unpack_runoff(const uint8_t *bytes, size_t length,
                                           struct report_runoff *out)
{
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__report__descriptor, bytes, length, REPORT_MAX);
    if (!message)
        return NULL;
    const Lifeline__V1__Report *report = (const Lifeline__V1__Report *)message;
    if (!is_sane(report)) {
        message_free(message);
        return NULL;
    }
    read_report(report, out);
    return (struct report_memory *)message;
}

void report_free(struct report_memory *memory)
{
    if (memory)
        message_free((ProtobufCMessage *)memory);
}

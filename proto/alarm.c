/* AlarmEvent to and from bytes, around protobuf-c.
 *
 * Pure; any thread. Packing borrows every string and allocates nothing; unpacking allocates one
 * message, which its strings live in. What comes from a disk or a broker is not trusted: whatever
 * no event of ours can say is no event. */
#include "proto/alarm.h"

#include <assert.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/ulid.h"

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a " is what lifeline.proto says")
SAME(ALARM_KIND_THRESHOLD, LIFELINE__V1__ALARM_KIND__ALARM_KIND_THRESHOLD);
SAME(ALARM_KIND_RATE, LIFELINE__V1__ALARM_KIND__ALARM_KIND_RATE);
SAME(ALARM_KIND_STATE, LIFELINE__V1__ALARM_KIND__ALARM_KIND_STATE);
SAME(ALARM_KIND_DIAGNOSIS, LIFELINE__V1__ALARM_KIND__ALARM_KIND_DIAGNOSIS);
SAME(ALARM_KIND_DEVICE_FAULT, LIFELINE__V1__ALARM_KIND__ALARM_KIND_DEVICE_FAULT);
SAME(ALARM_STATUS_RAISED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_RAISED);
SAME(ALARM_STATUS_ESCALATED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_ESCALATED);
SAME(ALARM_STATUS_EASED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_EASED);
SAME(ALARM_STATUS_ACKED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_ACKED);
SAME(ALARM_STATUS_CLEARED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_CLEARED);
SAME(ALARM_STATUS_SUPPRESSED, LIFELINE__V1__ALARM_STATUS__ALARM_STATUS_SUPPRESSED);
#undef SAME

struct alarm_memory; /* a generated message under another name */

void alarm_cut(char *out, size_t size, const char *text)
{
    size_t used = 0;
    while (*text) {
        size_t known = message_character(text), length = known ? known : 1;
        if (used + length >= size)
            break;
        memcpy(out + used, known ? text : "?", length);
        used += length;
        text += length;
    }
    out[used] = '\0';
}

/* ---- packing ---- */

static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text; /* packing only reads it */
}

static void fill_evidence(const struct alarm_evidence *from, Lifeline__V1__Evidence *to)
{
    *to = (Lifeline__V1__Evidence)LIFELINE__V1__EVIDENCE__INIT;
    to->point = from->point;
    to->name = borrow(from->name);
    to->at_ms = from->at_ms;
    to->value = from->value;
    to->quality = (Lifeline__V1__Quality)from->quality;
}

static void fill_place(const struct alarm_event *event, Lifeline__V1__AlarmEvent *out)
{
    out->gateway = borrow(event->gateway);
    out->region = borrow(event->region);
    out->sector = (Lifeline__V1__Sector)event->sector;
    out->device = event->device;
    out->point = event->point;
    out->device_name = borrow(event->device_name);
    out->quantity = borrow(event->quantity);
    out->unit = borrow(event->unit);
    out->asset = borrow(event->asset);
    out->grid = borrow(event->grid);
}

static void fill_times(const struct alarm_event *event, Lifeline__V1__AlarmEvent *out)
{
    out->peak_ms = event->peak_ms;
    out->first_ms = event->first_ms;
    out->raised_ms = event->raised_ms;
    out->at_ms = event->at_ms;
    out->cleared_ms = event->cleared_ms;
    out->clock = (Lifeline__V1__ClockState)event->clock;
}

static void fill_state(const struct alarm_event *event, Lifeline__V1__AlarmEvent *out)
{
    out->id = borrow(event->id);
    out->step = event->step;
    out->kind = (Lifeline__V1__AlarmKind)event->kind;
    out->rule = borrow(event->rule);
    out->key = borrow(event->key);
    out->level = event->level;
    out->previous_level = event->previous_level;
    out->status = (Lifeline__V1__AlarmStatus)event->status;
    out->value = event->value;
    out->threshold = event->threshold;
    out->peak = event->peak;
    out->confidence = event->confidence;
}

size_t alarm_pack(const struct alarm_event *event, uint8_t *out, size_t capacity)
{
    Lifeline__V1__AlarmEvent message = LIFELINE__V1__ALARM_EVENT__INIT;
    Lifeline__V1__Position position = LIFELINE__V1__POSITION__INIT;
    Lifeline__V1__Evidence evidence[ALARM_EVIDENCE_MAX], *pointers[ALARM_EVIDENCE_MAX];
    char zh[ALARM_TEXT_MAX], en[ALARM_TEXT_MAX], hint[ALARM_TEXT_MAX], source[ALARM_TEXT_MAX];
    assert(event->evidence_count <= ALARM_EVIDENCE_MAX);
    fill_state(event, &message);
    fill_place(event, &message);
    fill_times(event, &message);
    position.longitude = event->longitude;
    position.latitude = event->latitude;
    position.crs = (Lifeline__V1__Crs)event->crs;
    message.position = event->has_position ? &position : NULL;
    alarm_cut(zh, sizeof zh, event->text_zh);
    alarm_cut(en, sizeof en, event->text_en);
    alarm_cut(hint, sizeof hint, event->hint);
    alarm_cut(source, sizeof source, event->threshold_source);
    message.text_zh = zh;
    message.text_en = en;
    message.hint = hint;
    message.threshold_source = source;
    message.actor = borrow(event->actor);
    message.note = borrow(event->note);
    message.evidence = pointers;
    message.n_evidence = event->evidence_count;
    for (size_t i = 0; i < event->evidence_count; i++) {
        fill_evidence(&event->evidence[i], &evidence[i]);
        pointers[i] = &evidence[i];
    }
    size_t most = capacity < ALARM_EVENT_MAX ? capacity : ALARM_EVENT_MAX;
    return message_is_text(&message.base) ? message_pack(&message.base, out, most) : 0;
}

/* ---- unpacking ---- */

/* proto3 enums are open: any number may stand there. */
static bool is_sane(const Lifeline__V1__AlarmEvent *message)
{
    int sector = (int)message->sector, kind = (int)message->kind, status = (int)message->status;
    return ulid_is(message->id) && message->step > 0 && sector > SECTOR_UNSPECIFIED &&
           sector < SECTOR_COUNT && message->level < LEVEL_COUNT &&
           message->previous_level < LEVEL_COUNT && status > ALARM_STATUS_UNSPECIFIED &&
           status <= ALARM_STATUS_SUPPRESSED && kind > ALARM_KIND_UNSPECIFIED &&
           kind <= ALARM_KIND_DEVICE_FAULT &&
           (status == ALARM_STATUS_CLEARED) == (message->level == LEVEL_NONE) &&
           message->n_evidence <= ALARM_EVIDENCE_MAX;
}

static void read_evidence(const Lifeline__V1__AlarmEvent *message, struct alarm_event *out)
{
    out->evidence_count = message->n_evidence;
    for (size_t i = 0; i < message->n_evidence; i++) {
        const Lifeline__V1__Evidence *from = message->evidence[i];
        out->evidence[i] = (struct alarm_evidence){from->point, from->name, from->at_ms,
                                                   from->value, (enum quality)from->quality};
    }
}

static void read_event(const Lifeline__V1__AlarmEvent *message, struct alarm_event *out)
{
    *out = (struct alarm_event){
        .step = message->step,
        .gateway = message->gateway,
        .region = message->region,
        .sector = (enum sector)message->sector,
        .kind = (enum alarm_kind)message->kind,
        .rule = message->rule,
        .key = message->key,
        .level = (uint8_t)message->level,
        .previous_level = (uint8_t)message->previous_level,
        .status = (enum alarm_status)message->status,
        .device = message->device,
        .point = message->point,
        .device_name = message->device_name,
        .quantity = message->quantity,
        .unit = message->unit,
        .asset = message->asset,
        .grid = message->grid,
        .value = message->value,
        .threshold = message->threshold,
        .threshold_source = message->threshold_source,
        .peak = message->peak,
        .peak_ms = message->peak_ms,
        .first_ms = message->first_ms,
        .raised_ms = message->raised_ms,
        .at_ms = message->at_ms,
        .cleared_ms = message->cleared_ms,
        .clock = (enum clock_state)message->clock,
        .text_zh = message->text_zh,
        .text_en = message->text_en,
        .confidence = message->confidence,
        .hint = message->hint,
        .actor = message->actor,
        .note = message->note,
    };
    memcpy(out->id, message->id, sizeof out->id);
    if (message->position) {
        out->has_position = true;
        out->longitude = message->position->longitude;
        out->latitude = message->position->latitude;
        out->crs = (uint32_t)message->position->crs;
    }
    read_evidence(message, out);
}

struct alarm_memory *alarm_unpack(const uint8_t *bytes, size_t length, struct alarm_event *out)
{
    ProtobufCMessage *message =
        message_unpack(&lifeline__v1__alarm_event__descriptor, bytes, length, ALARM_EVENT_MAX);
    if (!message)
        return NULL;
    const Lifeline__V1__AlarmEvent *event = (const Lifeline__V1__AlarmEvent *)message;
    if (!is_sane(event)) {
        message_free(message);
        return NULL;
    }
    read_event(event, out);
    return (struct alarm_memory *)message;
}

void alarm_free(struct alarm_memory *memory)
{
    if (memory)
        message_free((ProtobufCMessage *)memory);
}

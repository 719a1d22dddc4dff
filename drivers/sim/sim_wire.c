/* Requests in, replies out, at the pace of the line.
 *
 * Runs in the simulator's only thread. Owns its file descriptor, the bytes of an unfinished request
 * and the replies that wait for their time. A pty and a TCP socket take a request at once where a
 * serial line would still be sending it: `heard_ns` is when its last character would have come, and
 * the silence, the sensor's turnaround and each character of the reply count from there. Never
 * waits: what cannot be done now is due at sim_wire_next_ns(). */
#include "drivers/sim/sim_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_MAX 32 /* replies; one more while a request has two */
#define NS_PER_MS INT64_C(1000000)

#define EXCEPTION_GATEWAY_TARGET 0x0b

/* Bytes leave in bundles of up to this long; the last one leaves at its own moment. */
#define BUNDLE_NS NS_PER_MS

/* Without line time half a frame is given up after this. */
#define PATIENCE_NS (5 * NS_PER_MS)

static const uint8_t NOISE[] = {0x00, 0xff, 0x5a};

struct reply {
    int64_t due_ns, held_ns;
    int64_t since_ms; /* the scenario's start, when it was asked */
    struct sim_request request;
    struct sim_answer answer;
    enum sim_fault_kind fault;
    bool journalled;
    size_t length, sent;
    uint8_t bytes[SIM_FRAME_MAX + sizeof NOISE];
};

struct sim_wire {
    int fd;
    struct sim_service *service;
    uint8_t heard[2 * SIM_FRAME_MAX];
    size_t heard_length;
    bool overrun; /* more than a frame came without a silence: all of it is lost */
    int64_t heard_ns;
    struct reply queue[QUEUE_MAX + 1]; /* by due time; only the first may be half sent */
    size_t queued;
    int64_t started_ns, free_ns; /* of the first reply; when the line is free again */
    bool blocked;
    uint32_t garbled;
};

struct sim_wire *sim_wire_new(int fd, struct sim_service *service)
{
    struct sim_wire *wire = calloc(1, sizeof *wire);
    if (wire != NULL) {
        wire->fd = fd;
        wire->service = service;
    }
    return wire;
}

void sim_wire_free(struct sim_wire *wire)
{
    if (wire == NULL) {
        return;
    }
    close(wire->fd);
    free(wire);
}

int sim_wire_fd(const struct sim_wire *wire)
{
    return wire->fd;
}

static bool is_tcp(const struct sim_wire *wire)
{
    return wire->service->settings->transport == TRANSPORT_TCP;
}

static void journal(const struct sim_wire *wire, const struct reply *reply)
{
    struct sim_journal_entry entry = {
        .line = wire->service->settings->name,
        .units = wire->service->units,
        .request = reply->request,
        .answer = reply->answer,
        .held_ns = reply->held_ns,
        .fault = reply->fault,
    };
    /* A full disk must not stop the sensors: the test that reads the journal sees what is missing.
     */
    (void)sim_journal_reply(wire->service->stage->journal, &entry);
}

static void wrap(const struct sim_wire *wire, struct reply *reply, uint8_t unit, const uint8_t *pdu,
                 size_t length)
{
    reply->length = is_tcp(wire) ? sim_frame_wrap_tcp(reply->bytes, reply->request.transaction,
                                                      unit, pdu, length)
                                 : sim_frame_wrap_rtu(reply->bytes, unit, pdu, length);
}

/* A TCP frame has no checksum: what breaks there is the header, by turns its two checked fields. */
static void garble(struct sim_wire *wire, struct reply *reply)
{
    if (is_tcp(wire)) {
        reply->bytes[wire->garbled++ % 2 == 0 ? 3 : 5] ^= 0x15;
    } else {
        reply->bytes[reply->length / 2] ^= 0x15;
    }
}

static void enqueue(struct sim_wire *wire, struct reply *reply)
{
    /* A sensor on a bus answers one request after the other, however late it is. */
    for (size_t i = 0; !is_tcp(wire) && i < wire->queued; i++) {
        if (wire->queue[i].request.unit == reply->request.unit &&
            wire->queue[i].due_ns > reply->due_ns)
            reply->due_ns = wire->queue[i].due_ns;
    }
    size_t at = wire->queued;
    size_t first = wire->queued > 0 && wire->queue[0].sent > 0 ? 1 : 0;
    while (at > first && wire->queue[at - 1].due_ns > reply->due_ns) {
        wire->queue[at] = wire->queue[at - 1];
        at--;
    }
    wire->queue[at] = *reply;
    wire->queued++;
}

static int64_t since_ms(const struct sim_stage *stage, int64_t now_ns)
{
    return (now_ns - stage->scenario_start_ns) / NS_PER_MS * stage->speed;
}

static const struct sim_fault *strike(struct sim_wire *wire, const struct sim_request *request,
                                      int64_t now_ns)
{
    struct sim_service *service = wire->service;
    struct sim_stage *stage = service->stage;
    static const struct sim_fault silent = {.kind = SIM_FAULT_MUTE};
    int32_t device = sim_units_device(service->units, request);
    if (stage->scenario != NULL && device >= 0 &&
        sim_scenario_silent(stage->scenario, (uint32_t)device, since_ms(stage, now_ns))) {
        return &silent;
    }
    if (stage->faults.count == 0) {
        return NULL;
    }
    int64_t now_ms = (now_ns - stage->faults_start_ns) / NS_PER_MS;
    struct sim_fault_target target = {.line = service->line,
                                      .device = device,
                                      .unit = request->unit,
                                      .address = request->address,
                                      .count = request->count};
    return sim_fault_strike(&stage->faults, now_ms, &target);
}

static int64_t sending_ns(const struct sim_wire *wire, const struct reply *reply)
{
    return (int64_t)reply->length * wire->service->pace.char_ns;
}

/* A whole answer of a sensor to this request, under whatever address; its PDU counts the block on,
 * so that no two of them show the same. */
static void answer_as(const struct sim_wire *wire, uint8_t unit, struct reply *reply)
{
    uint8_t pdu[SIM_FRAME_PDU_MAX];
    size_t length = sim_units_answer(wire->service->units, &reply->request, reply->since_ms, pdu,
                                     &reply->answer);
    wrap(wire, reply, unit, pdu, length);
}

static void refuse(const struct sim_wire *wire, uint8_t code, struct reply *reply)
{
    uint8_t pdu[SIM_FRAME_PDU_MAX];
    reply->answer.exception = code;
    size_t length = sim_frame_exception_pdu(pdu, reply->request.function, code);
    wrap(wire, reply, reply->request.unit, pdu, length);
}

/* The silence behind a reply: a slow sensor wants more of it before it is asked again. */
static int64_t behind_ns(const struct sim_wire *wire, const struct sim_request *request)
{
    int64_t silence_ns = wire->service->pace.silence_ns;
    int64_t gap_ns = sim_units_gap_ms(wire->service->units, request->unit) * NS_PER_MS;
    return silence_ns > 0 && gap_ns > silence_ns ? gap_ns : silence_ns;
}

/* What another sensor says to the same request; the journal does not know of it. */
static struct reply stranger(const struct sim_wire *wire, const struct reply *reply, uint8_t unit)
{
    struct reply other = {.due_ns = reply->due_ns,
                          .since_ms = reply->since_ms,
                          .request = reply->request,
                          .journalled = true};
    answer_as(wire, unit, &other);
    return other;
}

/* The answer of a unit that is there, spoilt as the fault says; false for none. */
static bool answer(const struct sim_wire *wire, const struct sim_fault *fault, struct reply *reply)
{
    switch (reply->fault) {
    case SIM_FAULT_MUTE:
        return false;
    case SIM_FAULT_HOLE:
        refuse(wire, fault->code, reply);
        return !fault->silent;
    case SIM_FAULT_EXCEPTION:
        refuse(wire, fault->code, reply);
        return true;
    case SIM_FAULT_WRONG_UNIT:
        answer_as(wire, (uint8_t)(reply->request.unit + 1), reply);
        return true;
    case SIM_FAULT_LATE:
        reply->due_ns += fault->delay_ms * NS_PER_MS;
        break;
    case SIM_FAULT_NONE:
    case SIM_FAULT_GARBLED:
    case SIM_FAULT_SHORT:
    case SIM_FAULT_NOISE:
    case SIM_FAULT_FOREIGN:
    case SIM_FAULT_TWIN:
    case SIM_FAULT_DROP_LINK:
    case SIM_FAULT_COUNT:
        break;
    }
    answer_as(wire, reply->request.unit, reply);
    return true;
}

static void spoil(struct sim_wire *wire, struct reply *reply)
{
    if (reply->fault == SIM_FAULT_GARBLED) {
        garble(wire, reply);
    } else if (reply->fault == SIM_FAULT_SHORT) {
        reply->length -= reply->length > 6 ? 3 : 1;
    } else if (reply->fault == SIM_FAULT_NOISE) {
        memmove(reply->bytes + sizeof NOISE, reply->bytes, reply->length);
        memcpy(reply->bytes, NOISE, sizeof NOISE);
        reply->length += sizeof NOISE;
    }
}

/* A request was heard to its end; the reply, if any, is due from_ns or later. heard_ns: how long
 * the request was on the line. */
static void handle(struct sim_wire *wire, const struct sim_request *request, int64_t heard_ns,
                   int64_t from_ns, int64_t now_ns)
{
    const struct sim_frame_pace *pace = &wire->service->pace;
    struct reply reply = {
        .due_ns = from_ns, .since_ms = since_ms(wire->service->stage, now_ns), .request = *request};
    if (!sim_units_present(wire->service->units, request->unit)) {
        if (is_tcp(wire)) {
            refuse(wire, EXCEPTION_GATEWAY_TARGET, &reply);
            enqueue(wire, &reply);
        }
        return;
    }
    const struct sim_fault *fault = strike(wire, request, now_ns);
    reply.fault = fault != NULL ? fault->kind : SIM_FAULT_NONE;
    reply.held_ns = heard_ns + pace->silence_ns;
    if (!answer(wire, fault, &reply)) {
        reply.answer.exception = 0;
        journal(wire, &reply);
        return;
    }
    spoil(wire, &reply);
    int64_t own_ns = sending_ns(wire, &reply) + pace->silence_ns;
    reply.held_ns += pace->turnaround_ns + own_ns + behind_ns(wire, request) - pace->silence_ns;
    if (reply.fault != SIM_FAULT_FOREIGN && reply.fault != SIM_FAULT_TWIN) {
        enqueue(wire, &reply);
        return;
    }
    bool is_twin = reply.fault == SIM_FAULT_TWIN;
    struct reply other = stranger(wire, &reply, (uint8_t)(request->unit + (is_twin ? 0 : 1)));
    int64_t other_ns = sending_ns(wire, &other) + pace->silence_ns;
    reply.held_ns += other_ns;
    reply.due_ns += is_twin ? 0 : other_ns;
    other.due_ns += is_twin ? own_ns : 0;
    enqueue(wire, is_twin ? &reply : &other);
    enqueue(wire, is_twin ? &other : &reply);
}

static bool take_tcp(struct sim_wire *wire, int64_t now_ns)
{
    size_t at = 0;
    bool good = true;
    while (good && wire->queued < QUEUE_MAX) {
        struct sim_request request;
        size_t used;
        enum sim_frame_state state =
            sim_frame_tcp(wire->heard + at, wire->heard_length - at, &used, &request);
        if (state == SIM_FRAME_PARTIAL) {
            break;
        }
        good = state == SIM_FRAME_COMPLETE;
        if (good) {
            handle(wire, &request, 0, now_ns, now_ns);
            at += used;
        }
    }
    wire->heard_length -= at;
    memmove(wire->heard, wire->heard + at, wire->heard_length);
    return good;
}

/* When the silence after what was heard is over. */
static int64_t silence_over_ns(const struct sim_wire *wire)
{
    const struct sim_frame_pace *pace = &wire->service->pace;
    struct sim_request request;
    if (pace->char_ns > 0) {
        return wire->heard_ns + pace->silence_ns;
    }
    bool complete = sim_frame_rtu(wire->heard, wire->heard_length, &request) == SIM_FRAME_COMPLETE;
    return wire->heard_ns + (complete ? 0 : PATIENCE_NS);
}

static void take_rtu(struct sim_wire *wire, int64_t now_ns)
{
    if ((wire->heard_length == 0 && !wire->overrun) || now_ns < silence_over_ns(wire)) {
        return;
    }
    struct sim_request request;
    bool good = !wire->overrun &&
                sim_frame_rtu(wire->heard, wire->heard_length, &request) == SIM_FRAME_COMPLETE;
    int64_t from_ns = silence_over_ns(wire) + wire->service->pace.turnaround_ns;
    int64_t heard_ns = (int64_t)wire->heard_length * wire->service->pace.char_ns;
    wire->heard_length = 0;
    wire->overrun = false;
    if (good && wire->queued < QUEUE_MAX) {
        handle(wire, &request, heard_ns, from_ns, now_ns);
    }
}

bool sim_wire_read(struct sim_wire *wire, int64_t now_ns)
{
    uint8_t spill[64];
    bool full = wire->heard_length == sizeof wire->heard;
    uint8_t *into = full ? spill : wire->heard + wire->heard_length;
    size_t room = full ? sizeof spill : sizeof wire->heard - wire->heard_length;
    ssize_t got = read(wire->fd, into, room);
    if (got <= 0) {
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (full) {
        wire->overrun = true;
    } else {
        wire->heard_length += (size_t)got;
    }
    if (wire->heard_ns < now_ns) {
        wire->heard_ns = now_ns;
    }
    wire->heard_ns += got * wire->service->pace.char_ns;
    return true;
}

/* How many bytes of the first reply may be out by now. */
static size_t bytes_due(const struct sim_wire *wire, const struct reply *reply, int64_t now_ns)
{
    int64_t char_ns = wire->service->pace.char_ns;
    if (char_ns == 0) {
        return reply->length;
    }
    int64_t due = (now_ns - wire->started_ns) / char_ns;
    return due < (int64_t)reply->length ? (size_t)due : reply->length;
}

/* False when the peer is gone. */
static bool send_bytes(struct sim_wire *wire, struct reply *reply, size_t due)
{
    if (due == reply->length && !reply->journalled) {
        journal(wire, reply);
        reply->journalled = true;
    }
    ssize_t put = write(wire->fd, reply->bytes + reply->sent, due - reply->sent);
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    if (wire->service->pace.char_ns > 0) {
        reply->sent = due; /* a serial line does not wait for who does not listen */
        return true;
    }
    reply->sent += put > 0 ? (size_t)put : 0;
    wire->blocked = reply->sent < due;
    return true;
}

static int64_t start_of(const struct sim_wire *wire)
{
    const struct reply *reply = &wire->queue[0];
    return reply->due_ns > wire->free_ns ? reply->due_ns : wire->free_ns;
}

static bool send_due(struct sim_wire *wire, int64_t now_ns)
{
    wire->blocked = false;
    while (wire->queued > 0 && !wire->blocked) {
        struct reply *reply = &wire->queue[0];
        if (reply->sent == 0) {
            wire->started_ns = start_of(wire);
            if (now_ns < wire->started_ns) {
                return true;
            }
        }
        size_t due = bytes_due(wire, reply, now_ns);
        if (due <= reply->sent) {
            return true;
        }
        if (!send_bytes(wire, reply, due)) {
            return false;
        }
        if (reply->sent == reply->length) {
            wire->free_ns = now_ns;
            wire->queued--;
            memmove(wire->queue, wire->queue + 1, wire->queued * sizeof *wire->queue);
        }
    }
    return true;
}

bool sim_wire_run(struct sim_wire *wire, int64_t now_ns)
{
    if (!is_tcp(wire)) {
        take_rtu(wire, now_ns);
        return send_due(wire, now_ns);
    }
    bool good, sent, was_full;
    do { /* requests that found the queue full are taken as soon as there is room */
        good = take_tcp(wire, now_ns);
        was_full = wire->queued >= QUEUE_MAX;
        sent = send_due(wire, now_ns);
    } while (good && sent && was_full && wire->queued < QUEUE_MAX);
    return good && sent;
}

int64_t sim_wire_next_ns(const struct sim_wire *wire)
{
    int64_t next = INT64_MAX;
    if (!is_tcp(wire) && (wire->heard_length > 0 || wire->overrun)) {
        next = silence_over_ns(wire);
    }
    if (wire->queued == 0 || wire->blocked) {
        return next;
    }
    const struct reply *reply = &wire->queue[0];
    int64_t char_ns = wire->service->pace.char_ns;
    int64_t send = reply->sent > 0 ? wire->started_ns : start_of(wire);
    if (char_ns > 0) {
        int64_t bundle = (BUNDLE_NS + char_ns - 1) / char_ns;
        int64_t upto = (int64_t)reply->sent + bundle;
        send += char_ns * (upto < (int64_t)reply->length ? upto : (int64_t)reply->length);
    }
    return send < next ? send : next;
}

bool sim_wire_wants_read(const struct sim_wire *wire)
{
    return !is_tcp(wire) || (wire->queued < QUEUE_MAX && wire->heard_length < sizeof wire->heard);
}

bool sim_wire_wants_write(const struct sim_wire *wire)
{
    return wire->blocked;
}

/* One request after the other on one line, and the state of its link.
 *
 * Runs in the line's thread, only asker_interrupt() in any. Owns the transport. A lost link is
 * opened again with growing pauses, while every request is told as LINK; the log says once that it
 * is down and once that it works again. Never decides when to ask. */
#include "gateway/poll/asker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/thread.h"
#include "gateway/watchdog.h"

enum {
    LINK_PAUSE_MIN_MS = 500,
    LINK_PAUSE_MAX_MS = 30000,
    OPEN_MS = 60000,   /* a name that nobody resolves, every address of it */
    LINK_PATIENCE = 4, /* connections lost in a row: fewer are some unit's that is hung up on */
};

struct asker {
    const struct settings_line *line;
    struct transport *transport;
    bool up;                /* what was tried last with the link worked */
    bool fresh;             /* it was opened for the request under way */
    uint32_t link_failures; /* in a row, without an answer between them */
    bool link_told;         /* that it is down */
    mono_time link_retry;
    mono_time quiet_since; /* end of the last exchange */
    atomic_bool stop;
    pthread_mutex_t mutex; /* for waiting only */
    pthread_cond_t wake;
};

struct asker *asker_new(const struct settings_line *line)
{
    struct asker *asker = calloc(1, sizeof *asker);
    if (!asker)
        return NULL;
    asker->line = line;
    pthread_mutex_init(&asker->mutex, NULL);
    thread_cond_init(&asker->wake);
    asker->transport = transport_new(line);
    if (asker->transport)
        return asker;
    asker_free(asker);
    return NULL;
}

void asker_free(struct asker *asker)
{
    if (!asker)
        return;
    transport_free(asker->transport);
    pthread_cond_destroy(&asker->wake);
    pthread_mutex_destroy(&asker->mutex);
    free(asker);
}

void asker_rebind(struct asker *asker, const struct settings_line *line)
{
    asker->line = line;
}

void asker_inherit(struct asker *asker, const struct asker *before)
{
    transport_inherit(asker->transport, before->transport);
}

void asker_close(struct asker *asker)
{
    transport_close(asker->transport);
}

bool asker_is_up(const struct asker *asker)
{
    return asker->up;
}

void asker_interrupt(struct asker *asker)
{
    pthread_mutex_lock(&asker->mutex);
    atomic_store(&asker->stop, true);
    pthread_cond_signal(&asker->wake);
    pthread_mutex_unlock(&asker->mutex);
    transport_interrupt(asker->transport);
}

bool asker_is_interrupted(const struct asker *asker)
{
    return atomic_load(&asker->stop);
}

/* A link that opens and is lost may be a server that closes idle connections, or hangs up on a unit
 * that it cannot reach: it is called again at once. From then on, or when it does not open, pauses
 * grow, and the log says so once. */
static void link_failed(struct asker *asker, const char *why)
{
    asker->up = false;
    if (++asker->link_failures < LINK_PATIENCE) {
        asker->link_retry = clock_mono();
        return;
    }
    uint32_t doublings = asker->link_failures - LINK_PATIENCE;
    int64_t pause_ms = doublings < 7 ? LINK_PAUSE_MIN_MS << doublings : LINK_PAUSE_MAX_MS;
    if (pause_ms > LINK_PAUSE_MAX_MS)
        pause_ms = LINK_PAUSE_MAX_MS;
    asker->link_retry = clock_after_ms(clock_mono(), pause_ms);
    if (asker->link_told || atomic_load(&asker->stop))
        return;
    log_warning("line %s: %s", asker->line->name, why);
    asker->link_told = true;
}

static void link_answered(struct asker *asker)
{
    if (asker->link_told)
        log_notice("line %s: works again", asker->line->name);
    asker->link_told = false;
    asker->link_failures = 0;
}

/* True when the link is up; otherwise it is not yet time to try, or trying failed. */
static bool link_up(struct asker *asker, char *why, size_t why_size)
{
    if (transport_is_open(asker->transport))
        return true;
    if (clock_mono().ns < asker->link_retry.ns) {
        strncpy(why, "the link is down", why_size - 1);
        return false;
    }
    asker->fresh = true;
    watchdog_allow(OPEN_MS);
    asker->up = transport_open(asker->transport, why, why_size) == OUTCOME_OK;
    if (asker->up)
        return true;
    if (asker->link_failures < LINK_PATIENCE)
        asker->link_failures = LINK_PATIENCE - 1; /* nobody hangs up before he has answered */
    link_failed(asker, why);
    return false;
}

/* Cut short only by the end. */
static void keep_gap(struct asker *asker, uint32_t gap_ms)
{
    mono_time until = clock_after_ms(asker->quiet_since, gap_ms);
    if (!gap_ms)
        return;
    pthread_mutex_lock(&asker->mutex);
    while (!atomic_load(&asker->stop) && thread_wait(&asker->wake, &asker->mutex, until))
        ;
    pthread_mutex_unlock(&asker->mutex);
}

static bool is_answer(enum outcome outcome)
{
    return outcome == OUTCOME_OK || outcome == OUTCOME_EXCEPTION;
}

static void ask_once(struct asker *asker, const struct transport_request *request,
                     uint16_t *registers, struct asked *out)
{
    mono_time begun = clock_mono();
    watchdog_beat();
    out->outcome = transport_read(asker->transport, request, registers, &out->exception, out->why,
                                  sizeof out->why);
    asker->quiet_since = clock_mono();
    int64_t took_ns = asker->quiet_since.ns - begun.ns;
    out->round_trip_us = took_ns / 1000;
    out->busy_ns += took_ns;
    if (out->outcome == OUTCOME_LINK)
        link_failed(asker, out->why);
    else
        asker->up = true;
    if (is_answer(out->outcome))
        link_answered(asker);
}

void asker_ask(struct asker *asker, const struct transport_request *request, uint32_t gap_ms,
               unsigned tries, uint16_t *registers, struct tally *tally, struct asked *out)
{
    *out = (struct asked){.outcome = OUTCOME_LINK};
    asker->fresh = false;
    transport_set_gap(asker->transport, gap_ms); /* between two requests of one call, too */
    for (unsigned i = 0; i < tries; i++) {
        if (!link_up(asker, out->why, sizeof out->why)) {
            out->outcome = OUTCOME_LINK;
            tally_request(tally, OUTCOME_LINK, 0);
            return;
        }
        mono_time begun = clock_mono();
        keep_gap(asker, gap_ms);
        out->busy_ns += clock_mono().ns - begun.ns; /* nobody else may use the line in it */
        ask_once(asker, request, registers, out);
        tally_request(tally, out->outcome, out->round_trip_us);
        bool hung_up = out->outcome == OUTCOME_LINK && asker->fresh;
        if (is_answer(out->outcome) || hung_up || atomic_load(&asker->stop))
            return;
    }
}

static void keep_frame(const struct asker *asker, struct line_answer *answer)
{
    const uint8_t *frame = transport_answer(asker->transport, &answer->frame_length);
    if (answer->frame_length > sizeof answer->frame)
        answer->frame_length = sizeof answer->frame;
    if (answer->frame_length > 0)
        memcpy(answer->frame, frame, answer->frame_length);
}

static void probe_with(struct asker *asker, const struct line_question *question,
                       struct line_answer *answer)
{
    uint16_t registers[2000];
    struct asked asked = {.outcome = OUTCOME_LINK};
    size_t words = question->request.count;
    ask_once(asker, &question->request, registers, &asked);
    answer->outcome = asked.outcome;
    answer->exception = asked.exception;
    answer->round_trip_us = asked.round_trip_us;
    memcpy(answer->why, asked.why, sizeof answer->why);
    words = words < LINE_REGISTERS_MAX ? words : LINE_REGISTERS_MAX;
    if (asked.outcome == OUTCOME_OK)
        memcpy(answer->registers, registers, words * sizeof *registers);
    keep_frame(asker, answer);
    if (question->listen_ms && transport_is_open(asker->transport))
        answer->heard_length = transport_listen(asker->transport, question->listen_ms,
                                                answer->heard, sizeof answer->heard);
    asker->quiet_since = clock_mono();
}

/* A port that does not take its own setting back is closed; then it is opened with it. */
static void restore_serial(struct asker *asker)
{
    char ignored[200];
    while (!transport_set_serial(asker->transport, &asker->line->serial, ignored, sizeof ignored) &&
           transport_is_open(asker->transport))
        transport_close(asker->transport);
}

void asker_probe(struct asker *asker, const struct line_question *question,
                 struct line_answer *answer)
{
    const struct serial *other = question->serial.baud != 0 ? &question->serial : NULL;
    *answer = (struct line_answer){.outcome = OUTCOME_LINK};
    if (!link_up(asker, answer->why, sizeof answer->why))
        return;
    if (other && !transport_set_serial(asker->transport, other, answer->why, sizeof answer->why))
        return;
    probe_with(asker, question, answer);
    if (other)
        restore_serial(asker);
}

struct transport_noise asker_noise(const struct asker *asker, uint8_t unit)
{
    return transport_noise(asker->transport, unit);
}

/* The line thread: waits for the next turn, polls, and in between asks what others want to know.
 *
 * Owns the schedule, the asker and the poll; what others may read lies in the ledger. Wishes and
 * questions come in under a mutex that is held for moments only. Failures of a unit are that
 * unit's: the line goes on. Never touches the store or the network above. */
#include "gateway/poll/line.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "gateway/poll/asker.h"
#include "gateway/poll/ledger.h"
#include "gateway/poll/poll.h"
#include "gateway/poll/schedule.h"
#include "gateway/thread.h"
#include "gateway/watchdog.h"

enum {
    STACK = 128 << 10,
    PRESSED_PAUSE_MS = 1,
    POLLS_FOR_QUESTIONS = 4, /* where polls wait they get so many times what a question took */
};

enum question_state { QUESTION_NONE, QUESTION_WAITS, QUESTION_ASKED, QUESTION_ANSWERED };

/* Where the line stands in a configuration. */
struct binding {
    const struct settings *settings; /* NULL = none */
    const struct plan *plan;
    uint32_t index;
};

struct line {
    const struct settings_line *own;
    const struct plan *plan; /* changes under the mutex */
    struct pipeline *pipeline;
    uint16_t number;
    struct asker *asker;
    struct ledger *ledger;
    struct poll *poll;
    struct schedule schedule;
    struct schedule_entry *entries; /* [read of ours] */
    struct schedule_unit *units;
    mono_time question_after; /* while polls wait */
    pthread_t thread;
    bool running;

    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t wake;
    bool stop;
    struct binding next; /* to be taken over */
    bool any_wanted;
    bool *wanted; /* [read of ours] to be polled now */
    bool boosts_changed;
    uint32_t *boosts; /* [place of a device] asked so often beside its periods; 0 = not */
    uint32_t boost_count;
    enum question_state question_state;
    bool forgotten; /* nobody waits for the answer */
    uint32_t ticket;
    struct line_question question;
    struct line_answer answer;
};

struct line *line_new(const struct settings *settings, const struct plan *plan, uint32_t index,
                      uint16_t number, struct pipeline *pipeline)
{
    struct line *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->number = number;
    line->own = &settings->lines[index];
    line->plan = plan;
    line->pipeline = pipeline;
    pthread_mutex_init(&line->mutex, NULL);
    thread_cond_init(&line->wake);
    line->asker = asker_new(line->own);
    line->ledger = ledger_new(settings, plan, index);
    if (line->asker && line->ledger)
        line->poll = poll_new(settings, plan, index, number, line->asker, line->ledger, pipeline);
    if (line->poll) {
        line->schedule.count = poll_count(line->poll);
        line->entries = calloc(line->schedule.count + 1, sizeof *line->entries);
        line->units = calloc(line->schedule.count + 1, sizeof *line->units);
        line->wanted = calloc(line->schedule.count + 1, sizeof *line->wanted);
    }
    for (size_t d = 0; d < settings->device_count; d++)
        line->boost_count += settings->devices[d].line == index;
    line->boosts = calloc(line->boost_count + 1, sizeof *line->boosts);
    if (line->entries && line->units && line->wanted && line->boosts)
        return line;
    line_free(line);
    return NULL;
}

void line_free(struct line *line)
{
    if (!line)
        return;
    poll_free(line->poll);
    ledger_free(line->ledger);
    asker_free(line->asker);
    pthread_cond_destroy(&line->wake);
    pthread_mutex_destroy(&line->mutex);
    free(line->entries);
    free(line->units);
    free(line->wanted);
    free(line->boosts);
    free(line);
}

uint16_t line_number(const struct line *line)
{
    return line->number;
}

void line_status(struct line *line, struct line_status *out)
{
    ledger_line(line->ledger, out);
}

bool line_device_status(struct line *line, uint32_t place, struct line_device_status *out)
{
    return ledger_device(line->ledger, place, out);
}

static bool has_device(const struct line *line, size_t read, uint32_t device)
{
    const struct plan_read *plan = poll_plan(line->poll, read);
    for (uint16_t b = 0; b < plan->block_count; b++) {
        if (line->plan->blocks[plan->blocks[b]].device == device)
            return true;
    }
    return false;
}

void line_poll_now(struct line *line, uint32_t place)
{
    pthread_mutex_lock(&line->mutex);
    uint32_t device = ledger_index(line->ledger, place);
    for (size_t i = 0; i < line->schedule.count; i++) {
        if (has_device(line, i, device))
            line->wanted[i] = line->any_wanted = true;
    }
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->mutex);
}

void line_boost(struct line *line, uint32_t place, uint32_t every_ms)
{
    pthread_mutex_lock(&line->mutex);
    if (place < line->boost_count && line->boosts[place] != every_ms) {
        line->boosts[place] = every_ms;
        line->boosts_changed = true;
        pthread_cond_signal(&line->wake);
    }
    pthread_mutex_unlock(&line->mutex);
}

/* The shortest boost of a read's devices. Under the mutex. */
static uint32_t boost_of(const struct line *line, size_t read)
{
    uint32_t every_ms = 0;
    for (uint32_t place = 0; place < line->boost_count; place++) {
        uint32_t boost = line->boosts[place];
        if (boost && (!every_ms || boost < every_ms) &&
            has_device(line, read, ledger_index(line->ledger, place)))
            every_ms = boost;
    }
    return every_ms;
}

/* In the line's thread, under the mutex. */
static void take_boosts(struct line *line)
{
    for (size_t i = 0; line->boosts_changed && i < line->schedule.count; i++) {
        uint32_t every_ms = boost_of(line, i);
        if (line->entries[i].boost_ms != every_ms)
            schedule_boost(&line->schedule, i, every_ms, clock_mono());
    }
    line->boosts_changed = false;
}

/* ---- a reload ---- */

void line_rebind(struct line *line, const struct settings *settings, const struct plan *plan,
                 uint32_t index)
{
    pthread_mutex_lock(&line->mutex);
    line->next = (struct binding){settings, plan, index};
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->mutex);
}

bool line_is_bound(struct line *line)
{
    pthread_mutex_lock(&line->mutex);
    bool bound = !line->next.settings;
    pthread_mutex_unlock(&line->mutex);
    return bound;
}

/* In the line's thread, under the mutex: others look for devices meanwhile. */
static void take_binding(struct line *line)
{
    const struct binding next = line->next;
    if (!next.settings)
        return;
    line->own = &next.settings->lines[next.index];
    line->plan = next.plan;
    asker_rebind(line->asker, line->own);
    ledger_rebind(line->ledger, next.settings, next.plan, next.index);
    poll_rebind(line->poll, next.settings, next.plan, next.index);
    line->next = (struct binding){0};
}

/* ---- questions of others ---- */

uint32_t line_ask(struct line *line, const struct line_question *question)
{
    uint32_t ticket = 0;
    pthread_mutex_lock(&line->mutex);
    if (line->question_state == QUESTION_NONE) {
        line->question = *question;
        line->question_state = QUESTION_WAITS;
        line->forgotten = false;
        ticket = ++line->ticket ? line->ticket : ++line->ticket;
        pthread_cond_signal(&line->wake);
    }
    pthread_mutex_unlock(&line->mutex);
    return ticket;
}

bool line_answered(struct line *line, uint32_t ticket, struct line_answer *out)
{
    pthread_mutex_lock(&line->mutex);
    bool answered = line->question_state == QUESTION_ANSWERED && line->ticket == ticket;
    if (answered) {
        *out = line->answer;
        line->question_state = QUESTION_NONE;
    }
    pthread_mutex_unlock(&line->mutex);
    return answered;
}

void line_forget(struct line *line, uint32_t ticket)
{
    pthread_mutex_lock(&line->mutex);
    if (line->ticket == ticket) {
        if (line->question_state == QUESTION_ASKED)
            line->forgotten = true;
        else
            line->question_state = QUESTION_NONE;
    }
    pthread_mutex_unlock(&line->mutex);
}

/* Asks the question that waits, if there is one. */
static bool take_question(struct line *line, struct line_question *question)
{
    pthread_mutex_lock(&line->mutex);
    bool waits = line->question_state == QUESTION_WAITS;
    if (waits) {
        *question = line->question;
        line->question_state = QUESTION_ASKED;
    }
    pthread_mutex_unlock(&line->mutex);
    return waits;
}

/* A unit that is polled gets the time that its own polls have: an answer that is late only for the
 * question would make it rest. */
static void be_patient(const struct line *line, struct line_question *question)
{
    for (size_t i = 0; i < line->schedule.count; i++) {
        if (line->entries[i].unit == question->request.unit &&
            question->request.timeout_ms < line->own->timeout_ms)
            question->request.timeout_ms = line->own->timeout_ms;
    }
}

static void serve_question(struct line *line)
{
    struct line_question question;
    struct line_answer answer;
    static const struct tally none;
    mono_time begun = clock_mono();
    if (!take_question(line, &question))
        return;
    be_patient(line, &question);
    asker_probe(line->asker, &question, &answer);
    pthread_mutex_lock(&line->mutex);
    line->answer = answer;
    line->question_state = line->forgotten ? QUESTION_NONE : QUESTION_ANSWERED;
    pthread_mutex_unlock(&line->mutex);
    mono_time now = clock_mono();
    int64_t took_ns = now.ns - begun.ns;
    line->question_after = (mono_time){now.ns + took_ns * POLLS_FOR_QUESTIONS};
    ledger_poll(line->ledger, question.request.unit, &none,
                asker_noise(line->asker, question.request.unit), took_ns, asker_is_up(line->asker),
                now);
}

/* ---- the line thread ---- */

/* Until it is time, or somebody wants something. False at the end. */
static bool wait_until(struct line *line, mono_time due)
{
    pthread_mutex_lock(&line->mutex);
    while (!line->stop && !line->next.settings && !line->any_wanted && !line->boosts_changed &&
           line->question_state != QUESTION_WAITS && due.ns > clock_mono().ns &&
           thread_wait(&line->wake, &line->mutex, due))
        ;
    for (size_t i = 0; line->any_wanted && i < line->schedule.count; i++) {
        if (line->wanted[i])
            schedule_now(&line->schedule, i);
        line->wanted[i] = false;
    }
    line->any_wanted = false;
    take_binding(line);
    take_boosts(line);
    bool go_on = !line->stop;
    pthread_mutex_unlock(&line->mutex);
    return go_on;
}

/* Tells the ledger how each device of a read keeps its pace now. */
static void tell_pace(struct line *line, const struct plan_read *read)
{
    uint32_t told = UINT32_MAX;
    for (uint16_t b = 0; b < read->block_count; b++) {
        uint32_t device = line->plan->blocks[read->blocks[b]].device;
        if (device == told)
            continue;
        told = device;
        struct ledger_pace pace = {.next = {INT64_MAX}, .resting = true, .stretch = 1};
        for (size_t i = 0; i < line->schedule.count; i++) {
            if (!has_device(line, i, device))
                continue;
            const struct schedule_entry *entry = &line->entries[i];
            mono_time due = schedule_due(&line->schedule, i);
            pace.next = due.ns < pace.next.ns ? due : pace.next;
            pace.resting &= schedule_rests(&line->schedule, i);
            pace.slipped += entry->slipped;
            pace.stretch = entry->stretch > pace.stretch ? entry->stretch : pace.stretch;
            pace.holes = (uint16_t)(pace.holes + poll_holes(line->poll, i));
        }
        ledger_pace(line->ledger, device, &pace);
    }
}

static void take_turn(struct line *line, const struct schedule_turn *turn)
{
    const struct schedule_entry *entry = &line->entries[turn->entry];
    struct polled polled;
    /* A read without a pause takes what the gateway can deal with, too. */
    if (entry->every_ms == 0 && !turn->extra && pipeline_is_pressed(line->pipeline)) {
        schedule_defer(&line->schedule, turn->entry,
                       clock_after_ms(clock_mono(), PRESSED_PAUSE_MS));
        return;
    }
    bool retry = schedule_may_retry(&line->schedule, turn->entry);
    if (!poll_read(line->poll, turn->entry, entry->tick, turn->extra, retry, &polled))
        return;
    schedule_done(&line->schedule, turn, polled.answer, polled.now, polled.busy_ns / 1000000);
    tell_pace(line, poll_plan(line->poll, turn->entry));
}

static void *run(void *argument)
{
    struct line *line = argument;
    char name[16];
    strncpy(name, line->own->name, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1);
    watchdog_join(WATCHDOG_LIMIT_MS + 2 * line->own->timeout_ms, "line %s", line->own->name);
    struct schedule_turn turn = {.due = {INT64_MAX}};
    do {
        mono_time now = clock_mono();
        if (line->schedule.count)
            turn = schedule_next(&line->schedule, now);
        bool due = turn.due.ns <= now.ns;
        if (!due || now.ns >= line->question_after.ns)
            serve_question(line);
        if (due)
            take_turn(line, &turn);
    } while (wait_until(line, turn.due));
    asker_close(line->asker);
    return NULL;
}

void line_inherit(struct line *line, const struct line *before)
{
    if (!before->running)
        asker_inherit(line->asker, before->asker);
}

bool line_start(struct line *line)
{
    for (size_t i = 0; i < line->schedule.count; i++) {
        const struct plan_read *read = poll_plan(line->poll, i);
        line->entries[i].every_ms = read->every_ms;
        line->entries[i].unit = read->unit;
    }
    schedule_start(&line->schedule, line->entries, line->units, line->schedule.count, clock_mono());
    line->running = thread_start(&line->thread, STACK, run, line);
    return line->running;
}

bool line_is_running(const struct line *line)
{
    return line->running;
}

void line_finish(struct line *line)
{
    pthread_mutex_lock(&line->mutex);
    line->stop = true;
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->mutex);
}

void line_stop(struct line *line)
{
    line_finish(line);
    asker_interrupt(line->asker);
}

bool line_join(struct line *line, mono_time deadline)
{
    if (line->running)
        line->running = !thread_join(line->thread, deadline);
    return !line->running;
}

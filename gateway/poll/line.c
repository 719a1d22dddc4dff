/* The line thread: waits for the next deadline, asks, decodes, hands the sample on.
 * Owns the transport and the schedule; under the mutex only the numbers that others read. Failures
 * of a unit are that unit's: the line goes on. A lost link is opened again with growing pauses,
 * while every poll that falls due is told as LINK.
 * Never touches the store or the network above; logs one line per change of state. */
#include "gateway/poll/line.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "drivers/decode.h"
#include "gateway/log.h"
#include "gateway/poll/schedule.h"
#include "gateway/thread.h"

enum {
    REGISTERS_MAX = 2000, /* bits of one request */
    LINK_PAUSE_MIN_MS = 500,
    LINK_PAUSE_MAX_MS = 30000,
    LOAD_WINDOW_MS = 10000,
    STACK = 128 << 10,
};

struct line_device {
    uint32_t index; /* into the settings */
    struct line_device_status status;
    bool silent;
};

struct line {
    const struct settings *settings;
    const struct settings_line *own;
    const struct plan *plan;
    struct pipeline *pipeline;
    struct transport *transport;
    uint32_t *blocks; /* of the plan, ours, in the order of the schedule */
    struct schedule schedule;
    struct schedule_entry *entries;
    uint32_t link_failures; /* in a row, without an answer between them */
    bool link_told;         /* that it is down */
    mono_time link_retry;
    mono_time quiet_since; /* end of the last exchange, for profiles with a min_gap */
    uint16_t registers[REGISTERS_MAX];
    struct value values[REGISTERS_MAX];

    pthread_t thread;
    bool running;
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct line_status status;
    struct line_device *devices;
    enum outcome *outcomes; /* [block of ours] of its newest poll */
    atomic_uint *wanted;    /* [block of ours] to be polled now */
    atomic_bool any_wanted;
    int64_t busy_ns; /* of the window */
    mono_time window;
};

static bool take_blocks(struct line *line, uint32_t index)
{
    size_t count = 0;
    for (size_t b = 0; b < line->plan->block_count; b++)
        count += line->plan->blocks[b].line == index;
    line->blocks = calloc(count + 1, sizeof *line->blocks);
    line->entries = calloc(count + 1, sizeof *line->entries);
    line->wanted = calloc(count + 1, sizeof *line->wanted);
    line->devices = calloc(line->settings->device_count + 1, sizeof *line->devices);
    line->outcomes = calloc(count + 1, sizeof *line->outcomes);
    if (!line->outcomes || !line->blocks || !line->entries || !line->wanted || !line->devices)
        return false;
    count = 0;
    for (size_t b = 0; b < line->plan->block_count; b++) {
        const struct plan_block *block = &line->plan->blocks[b];
        if (block->line != index)
            continue;
        line->blocks[count] = (uint32_t)b;
        line->entries[count++] =
            (struct schedule_entry){.every_ms = block->every_ms, .unit = block->unit};
    }
    for (uint32_t d = 0; d < line->settings->device_count; d++) {
        if (line->settings->devices[d].line == index)
            line->devices[line->status.devices++].index = d;
    }
    line->schedule.count = count;
    return true;
}

struct line *line_new(const struct settings *settings, const struct plan *plan, uint32_t index,
                      struct pipeline *pipeline)
{
    struct line *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->settings = settings;
    line->own = &settings->lines[index];
    line->plan = plan;
    line->pipeline = pipeline;
    pthread_mutex_init(&line->mutex, NULL);
    thread_cond_init(&line->wake);
    line->transport = transport_new(line->own);
    if (!line->transport || !take_blocks(line, index)) {
        line_free(line);
        return NULL;
    }
    return line;
}

void line_free(struct line *line)
{
    if (!line)
        return;
    transport_free(line->transport);
    pthread_cond_destroy(&line->wake);
    pthread_mutex_destroy(&line->mutex);
    free(line->blocks);
    free(line->entries);
    free(line->wanted);
    free(line->outcomes);
    free(line->devices);
    free(line);
}

/* ---- what others see ---- */

void line_status(struct line *line, struct line_status *out)
{
    pthread_mutex_lock(&line->mutex);
    *out = line->status;
    pthread_mutex_unlock(&line->mutex);
}

static struct line_device *find_device(struct line *line, uint32_t device)
{
    for (uint32_t i = 0; i < line->status.devices; i++) {
        if (line->devices[i].index == device)
            return &line->devices[i];
    }
    return NULL;
}

bool line_device_status(struct line *line, uint32_t device, struct line_device_status *out)
{
    pthread_mutex_lock(&line->mutex);
    const struct line_device *found = find_device(line, device);
    if (found)
        *out = found->status;
    pthread_mutex_unlock(&line->mutex);
    return found != NULL;
}

void line_poll_now(struct line *line, uint32_t device)
{
    for (size_t i = 0; i < line->schedule.count; i++) {
        if (line->plan->blocks[line->blocks[i]].device == device)
            atomic_store(&line->wanted[i], 1);
    }
    pthread_mutex_lock(&line->mutex);
    atomic_store(&line->any_wanted, true);
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->mutex);
}

/* ---- the line thread ---- */

static enum quality quality_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return QUALITY_GOOD;
    case OUTCOME_TIMEOUT:
        return QUALITY_TIMEOUT;
    case OUTCOME_EXCEPTION:
        return QUALITY_EXCEPTION;
    case OUTCOME_GARBLED:
        return QUALITY_GARBLED;
    case OUTCOME_LINK:
        return QUALITY_LINK;
    }
    return QUALITY_LINK;
}

/* A device is as its first block that fails: one that answers beside it does not make it well.
 * Silent are those of which no block answers. */
static void judge_device(struct line *line, struct line_device *device)
{
    bool was_silent = device->silent;
    device->silent = true;
    device->status.outcome = OUTCOME_OK;
    for (size_t i = 0; i < line->schedule.count; i++) {
        if (line->plan->blocks[line->blocks[i]].device != device->index)
            continue;
        device->silent &= line->outcomes[i] != OUTCOME_OK;
        if (device->status.outcome == OUTCOME_OK)
            device->status.outcome = line->outcomes[i];
    }
    line->status.silent += device->silent;
    line->status.silent -= was_silent;
}

static void measure_load(struct line *line, mono_time now, int64_t busy_ns)
{
    line->busy_ns += busy_ns;
    int64_t window_ms = clock_ms_between(line->window, now);
    if (window_ms < LOAD_WINDOW_MS)
        return;
    line->status.load_percent = (uint32_t)(line->busy_ns / 10000 / window_ms);
    line->busy_ns = 0;
    line->window = now;
}

struct finding {
    enum outcome outcome;
    uint8_t exception;
    mono_time now;
    int64_t busy_ns;
    char why[200];
};

static void note(struct line *line, size_t entry, const struct finding *finding)
{
    uint32_t index = line->plan->blocks[line->blocks[entry]].device;
    pthread_mutex_lock(&line->mutex);
    struct line_device *d = find_device(line, index);
    enum outcome before = d->status.outcome;
    if (line->outcomes[entry] != finding->outcome) {
        line->outcomes[entry] = finding->outcome;
        judge_device(line, d);
    }
    enum outcome after = d->status.outcome;
    d->status.asked = true;
    if (finding->outcome == after)
        d->status.exception = finding->exception;
    if (finding->outcome == OUTCOME_OK)
        d->status.good = finding->now;
    tally_request(&d->status.tally, finding->outcome, finding->busy_ns / 1000);
    tally_request(&line->status.tally, finding->outcome, finding->busy_ns / 1000);
    line->status.slipped = line->schedule.slipped;
    line->status.open = transport_is_open(line->transport);
    measure_load(line, finding->now, finding->busy_ns);
    pthread_mutex_unlock(&line->mutex);
    const struct settings_device *device = &line->settings->devices[index];
    if (before != after && after == OUTCOME_OK)
        log_notice("line %s: %s (unit %u) answers again", line->own->name, device->name,
                   device->unit);
    else if (before != after && after != OUTCOME_LINK)
        log_warning("line %s: %s (unit %u): %s", line->own->name, device->name, device->unit,
                    finding->outcome == after ? finding->why : transport_outcome_name(after));
}

static bool wait_until(struct line *line, mono_time due)
{
    if (due.ns <= clock_mono().ns)
        return !atomic_load(&line->stop);
    pthread_mutex_lock(&line->mutex);
    while (!atomic_load(&line->stop) && !atomic_load(&line->any_wanted) &&
           thread_wait(&line->wake, &line->mutex, due))
        ;
    pthread_mutex_unlock(&line->mutex);
    return !atomic_load(&line->stop);
}

static void hear_wishes(struct line *line)
{
    if (!atomic_exchange(&line->any_wanted, false))
        return;
    mono_time now = clock_mono();
    for (size_t i = 0; i < line->schedule.count; i++) {
        if (atomic_exchange(&line->wanted[i], 0))
            schedule_now(&line->schedule, i, now);
    }
}

/* The first failure of a link that worked may be a server that closes idle connections: it is
 * called again at once. From then on pauses grow, and the log says so once. */
static void link_failed(struct line *line, const char *why)
{
    uint32_t before = line->link_failures++;
    uint32_t doublings = before > 1 ? before - 1 : 0;
    int64_t pause_ms = doublings < 7 ? LINK_PAUSE_MIN_MS << doublings : LINK_PAUSE_MAX_MS;
    if (pause_ms > LINK_PAUSE_MAX_MS)
        pause_ms = LINK_PAUSE_MAX_MS;
    line->link_retry = clock_after_ms(clock_mono(), before ? pause_ms : 0);
    if (!before || line->link_told || atomic_load(&line->stop))
        return;
    log_warning("line %s: %s", line->own->name, why);
    line->link_told = true;
}

static void link_answered(struct line *line)
{
    if (line->link_told)
        log_notice("line %s: works again", line->own->name);
    line->link_told = false;
    line->link_failures = 0;
}

/* True when the link is up; otherwise it is not yet time to try, or trying failed. */
static bool link_up(struct line *line)
{
    char why[200] = "";
    if (transport_is_open(line->transport))
        return true;
    if (clock_mono().ns < line->link_retry.ns)
        return false;
    if (transport_open(line->transport, why, sizeof why) == OUTCOME_OK)
        return true;
    if (!line->link_failures)
        line->link_failures = 1; /* nobody closes a connection before it is there */
    link_failed(line, why);
    return false;
}

static bool is_answer(enum outcome outcome)
{
    return outcome == OUTCOME_OK || outcome == OUTCOME_EXCEPTION;
}

/* The silence that this sensor's maker asks for; cut short only by the end. */
static void keep_gap(struct line *line, const struct plan_block *block)
{
    const struct profile *profile = line->settings->devices[block->device].profile;
    mono_time until = clock_after_ms(line->quiet_since, profile->min_gap_ms);
    if (!profile->min_gap_ms)
        return;
    pthread_mutex_lock(&line->mutex);
    while (!atomic_load(&line->stop) && thread_wait(&line->wake, &line->mutex, until))
        ;
    pthread_mutex_unlock(&line->mutex);
}

static enum outcome ask(struct line *line, const struct plan_block *block, uint8_t *exception,
                        char *why, size_t why_size)
{
    const struct transport_request request = {block->unit, block->function, block->address,
                                              block->count, 0};
    enum outcome outcome = OUTCOME_LINK;
    for (unsigned tries = 0; tries <= line->own->retries; tries++) {
        if (!link_up(line))
            return OUTCOME_LINK;
        keep_gap(line, block);
        outcome =
            transport_read(line->transport, &request, line->registers, exception, why, why_size);
        line->quiet_since = clock_mono();
        if (outcome == OUTCOME_LINK)
            link_failed(line, why);
        if (is_answer(outcome) || atomic_load(&line->stop))
            break;
    }
    if (is_answer(outcome))
        link_answered(line);
    return outcome;
}

static void poll(struct line *line, size_t entry)
{
    uint32_t index = line->blocks[entry];
    const struct plan_block *block = &line->plan->blocks[index];
    struct finding finding = {.why = ""};
    mono_time begun = clock_mono();
    enum outcome outcome = ask(line, block, &finding.exception, finding.why, sizeof finding.why);
    if (atomic_load(&line->stop) && outcome != OUTCOME_OK)
        return; /* our own interruption is no news of the unit */
    struct sample sample = {.block = index,
                            .failure = (uint8_t)quality_of(outcome),
                            .mono = clock_mono(),
                            .wall = clock_wall()};
    if (outcome == OUTCOME_OK) {
        sample.count = block->point_count;
        decode_block(&line->settings->devices[block->device], block, line->registers, line->values);
    }
    finding.outcome = outcome;
    finding.now = sample.mono;
    finding.busy_ns = sample.mono.ns - begun.ns;
    schedule_done(&line->schedule, entry, is_answer(outcome) || outcome == OUTCOME_LINK,
                  sample.mono, finding.busy_ns / 1000000);
    note(line, entry, &finding);
    pipeline_submit(line->pipeline, &sample, line->values);
}

static void *run(void *argument)
{
    struct line *line = argument;
    char name[16];
    strncpy(name, line->own->name, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1);
    mono_time due;
    line->window = clock_mono();
    schedule_start(&line->schedule, line->entries, line->schedule.count, line->window);
    while (line->schedule.count && !atomic_load(&line->stop)) {
        hear_wishes(line);
        size_t entry = schedule_next(&line->schedule, &due);
        if (!wait_until(line, due))
            break;
        if (due.ns <= clock_mono().ns)
            poll(line, entry);
    }
    transport_close(line->transport);
    return NULL;
}

uint32_t line_ask(struct line *line, const struct line_question *question)
{
    (void)line, (void)question;
    return 0;
}

bool line_answered(struct line *line, uint32_t ticket, struct line_answer *out)
{
    (void)line, (void)ticket, (void)out;
    return false;
}

void line_forget(struct line *line, uint32_t ticket)
{
    (void)line, (void)ticket;
}

bool line_start(struct line *line)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    line->running = pthread_create(&line->thread, &attributes, run, line) == 0;
    pthread_attr_destroy(&attributes);
    return line->running;
}

void line_stop(struct line *line)
{
    pthread_mutex_lock(&line->mutex);
    atomic_store(&line->stop, true);
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->mutex);
    transport_interrupt(line->transport);
}

bool line_join(struct line *line, mono_time deadline)
{
    if (line->running)
        line->running = !thread_join(line->thread, deadline);
    return !line->running;
}

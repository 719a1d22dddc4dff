/* Polls a read: which of its blocks are due, in which requests, and what becomes of the answers.
 *
 * Runs in the line's thread; owns the buffers and what is remembered of each read. The usual case
 * is one request. A device that refuses registers between those it has (exception 2 or 3), or is
 * silent about them, is asked in parts from then on; a block of which some registers answered is
 * handed on with the moment of the last answer, and the quality of the failure at the points that
 * did not. A part that is silent while others answer is asked seldom. Never decides when. */
#include "gateway/poll/poll.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/decode.h"
#include "gateway/log.h"
#include "gateway/poll/split.h"

enum {
    SILENT_PARTS = 3, /* polls after which a silent part is asked each SELDOM-th time only */
    SELDOM = 64,
    DEAD_PARTS = 2, /* silent ones before any answer: the unit itself is silent */
    ILLEGAL_ADDRESS = 2,
    ILLEGAL_VALUE = 3,       /* what some say to a count that goes beyond their registers */
    SILENT_TRIES = 3,        /* of a read that never answered, before its gaps are suspected */
    SPLIT_AGAIN_MS = 600000, /* a device that refused every part is not divided again so soon */
};

struct read_state {
    const struct plan_read *plan;
    uint64_t *served; /* [block of the read] its periods so far, counted from 1 */
    struct split split;
    uint8_t silence[SPLIT_MAX + 1]; /* [part] polls in a row that it was silent and others not */
    uint32_t skipped;               /* parts not asked for it */
    bool good_once;
    uint32_t silent; /* polls in a row without an answer, before the first good one */
    mono_time split_after;
};

/* How the registers of a span were answered. */
struct result {
    enum outcome outcome;
    uint8_t exception;
};

struct poll {
    const struct settings *settings;
    const struct plan *plan;
    const struct settings_line *line;
    struct asker *asker;
    struct ledger *ledger;
    struct pipeline *pipeline;
    uint16_t number; /* how samples name the line */
    struct read_state *reads;
    size_t read_count;
    uint64_t *served; /* what the reads' `served` lie in */

    /* The poll under way. */
    uint32_t *due; /* blocks of the plan */
    size_t due_count;
    struct split_span *spans; /* only the hull of all that is due, unless it is taken apart */
    struct result *results;   /* [span] */
    bool *good, *gap;         /* [span] while holes are looked for; gap: before it, not bridged */
    size_t span_count;
    bool failed; /* some of it */
    struct asked newest;
    char why[sizeof((struct asked *)NULL)->why]; /* of the newest failure */
    uint32_t first;                              /* register that registers[0] holds */
    uint32_t gap_ms, timeout_ms;
    unsigned tries;
    struct tally requests;
    int64_t busy_ns;
    mono_time answered; /* the last good answer */
    wall_time answered_wall;
    enum schedule_answer answer; /* the best of all requests */
    uint16_t *registers;         /* of the hull */
    struct value *values;        /* of a block */
};

/* Makes room for a block in what is read with one request. */
static void widen(const struct plan_block *block, uint32_t *first, uint32_t *end)
{
    uint32_t own_end = (uint32_t)block->address + block->count;
    *first = block->address < *first ? block->address : *first;
    *end = own_end > *end ? own_end : *end;
}

static bool take_reads(struct poll *poll, uint32_t line)
{
    size_t blocks = 0, most_blocks = 0, most_points = 0, most_registers = 0;
    for (size_t r = 0; r < poll->plan->read_count; r++) {
        const struct plan_read *read = &poll->plan->reads[r];
        size_t points = 0;
        uint32_t first = UINT32_MAX, end = 0;
        if (read->line != line)
            continue;
        for (uint16_t b = 0; b < read->block_count; b++) {
            const struct plan_block *block = &poll->plan->blocks[read->blocks[b]];
            points += block->point_count;
            widen(block, &first, &end);
        }
        most_registers = end - first > most_registers ? end - first : most_registers;
        poll->read_count++;
        blocks += read->block_count;
        most_blocks = read->block_count > most_blocks ? read->block_count : most_blocks;
        most_points = points > most_points ? points : most_points;
    }
    poll->reads = calloc(poll->read_count + 1, sizeof *poll->reads);
    poll->served = calloc(blocks + 1, sizeof *poll->served);
    poll->due = calloc(most_blocks + 1, sizeof *poll->due);
    poll->spans = calloc(most_points + 1, sizeof *poll->spans);
    poll->results = calloc(most_points + 1, sizeof *poll->results);
    poll->good = calloc(most_points + 1, sizeof *poll->good);
    poll->gap = calloc(most_points + 1, sizeof *poll->gap);
    poll->registers = calloc(most_registers + 1, sizeof *poll->registers);
    poll->values = calloc(most_points + 1, sizeof *poll->values);
    if (!poll->reads || !poll->served || !poll->due || !poll->spans || !poll->results ||
        !poll->good || !poll->gap || !poll->registers || !poll->values)
        return false;
    uint64_t *served = poll->served;
    size_t at = 0;
    for (size_t r = 0; r < poll->plan->read_count; r++) {
        const struct plan_read *read = &poll->plan->reads[r];
        if (read->line != line)
            continue;
        poll->reads[at++] = (struct read_state){.plan = read, .served = served};
        served += read->block_count;
    }
    return true;
}

struct poll *poll_new(const struct settings *settings, const struct plan *plan, uint32_t line,
                      uint16_t number, struct asker *asker, struct ledger *ledger,
                      struct pipeline *pipeline)
{
    struct poll *poll = calloc(1, sizeof *poll);
    if (!poll)
        return NULL;
    poll->settings = settings;
    poll->plan = plan;
    poll->line = &settings->lines[line];
    poll->asker = asker;
    poll->ledger = ledger;
    poll->pipeline = pipeline;
    poll->number = number;
    if (take_reads(poll, line))
        return poll;
    poll_free(poll);
    return NULL;
}

void poll_rebind(struct poll *poll, const struct settings *settings, const struct plan *plan,
                 uint32_t line)
{
    size_t at = 0;
    poll->settings = settings;
    poll->plan = plan;
    poll->line = &settings->lines[line];
    for (size_t r = 0; r < plan->read_count && at < poll->read_count; r++) {
        if (plan->reads[r].line == line)
            poll->reads[at++].plan = &plan->reads[r];
    }
}

void poll_free(struct poll *poll)
{
    if (!poll)
        return;
    free(poll->reads);
    free(poll->served);
    free(poll->due);
    free(poll->spans);
    free(poll->results);
    free(poll->good);
    free(poll->gap);
    free(poll->registers);
    free(poll->values);
    free(poll);
}

size_t poll_count(const struct poll *poll)
{
    return poll->read_count;
}

const struct plan_read *poll_plan(const struct poll *poll, size_t read)
{
    return poll->reads[read].plan;
}

uint16_t poll_holes(const struct poll *poll, size_t read)
{
    return poll->reads[read].split.cut_count;
}

/* ---- what is due ---- */

static void choose_blocks(struct poll *poll, struct read_state *read, uint64_t tick, bool whole)
{
    poll->due_count = 0;
    for (uint16_t b = 0; b < read->plan->block_count; b++) {
        uint32_t index = read->plan->blocks[b];
        uint32_t every_ms = poll->plan->blocks[index].every_ms;
        uint64_t times = read->plan->every_ms ? every_ms / read->plan->every_ms : 1;
        uint64_t period = tick / times + 1;
        if (!whole && read->served[b] >= period)
            continue;
        if (!whole)
            read->served[b] = period;
        poll->due[poll->due_count++] = index;
    }
}

/* Of several devices in one request the most careful one decides. */
static void prepare(struct poll *poll, bool retry)
{
    unsigned retries = 0;
    struct split_span hull = {UINT32_MAX, 0};
    poll->gap_ms = poll->timeout_ms = 0;
    for (size_t i = 0; i < poll->due_count; i++) {
        const struct plan_block *block = &poll->plan->blocks[poll->due[i]];
        const struct settings_device *device = &poll->settings->devices[block->device];
        widen(block, &hull.first, &hull.end);
        if (device->profile->min_gap_ms > poll->gap_ms)
            poll->gap_ms = device->profile->min_gap_ms;
        if (device->timeout_ms > poll->timeout_ms)
            poll->timeout_ms = device->timeout_ms;
        if (device->retries > retries)
            retries = device->retries;
    }
    poll->tries = retry ? 1 + retries : 1;
    poll->spans[0] = hull;
    poll->span_count = 1;
    poll->first = hull.first;
    poll->busy_ns = 0;
    poll->answer = SCHEDULE_SILENT;
    poll->failed = false;
    memset(&poll->requests, 0, sizeof poll->requests);
}

/* From here on the hull is taken apart. */
static void find_spans(struct poll *poll)
{
    poll->span_count =
        split_spans(poll->settings, poll->plan, poll->due, poll->due_count, poll->spans);
}

/* ---- asking ---- */

static void spread(struct poll *poll, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        poll->results[i] = (struct result){poll->newest.outcome, poll->newest.exception};
}

static enum schedule_answer answer_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
    case OUTCOME_EXCEPTION:
        return SCHEDULE_ANSWERED;
    case OUTCOME_LINK:
        return SCHEDULE_DOWN;
    case OUTCOME_GARBLED:
        return SCHEDULE_GARBLED;
    case OUTCOME_TIMEOUT:
        return SCHEDULE_SILENT;
    }
    return SCHEDULE_SILENT;
}

/* Asks for spans[from] … spans[to - 1] in one request and writes down how it went. */
static enum outcome ask(struct poll *poll, const struct plan_read *read, size_t from, size_t to)
{
    uint32_t first = poll->spans[from].first;
    const struct transport_request request = {read->unit, read->function, (uint16_t)first,
                                              (uint16_t)(poll->spans[to - 1].end - first),
                                              poll->timeout_ms};
    struct asked *newest = &poll->newest;
    asker_ask(poll->asker, &request, poll->gap_ms, poll->tries,
              poll->registers + (first - poll->first), &poll->requests, newest);
    poll->busy_ns += newest->busy_ns;
    enum schedule_answer answer = answer_of(newest->outcome);
    poll->answer = answer < poll->answer ? answer : poll->answer;
    if (newest->outcome == OUTCOME_OK) {
        poll->answered = clock_mono();
        poll->answered_wall = clock_wall();
    } else {
        poll->failed = true;
        memcpy(poll->why, newest->why, sizeof poll->why);
    }
    spread(poll, from, to);
    return newest->outcome;
}

static bool is_refused(const struct asked *asked)
{
    return asked->outcome == OUTCOME_EXCEPTION &&
           (asked->exception == ILLEGAL_ADDRESS || asked->exception == ILLEGAL_VALUE);
}

/* What was found out about a range: told once, remembered until the end. */
static void remember(struct poll *poll, struct read_state *read, size_t from, size_t to)
{
    const struct plan_block *block = &poll->plan->blocks[poll->due[0]];
    unsigned before = read->split.cut_count;
    for (size_t i = from; i < to; i++)
        poll->good[i] = poll->results[i].outcome == OUTCOME_OK;
    split_remember(&read->split, poll->spans, from, to, poll->good, poll->gap);
    if (read->split.cut_count == before)
        return;
    memset(read->silence, 0, sizeof read->silence); /* the parts are others now */
    log_notice("line %s: %s (unit %u) does not have all of registers %u to %u: asked in %u "
               "requests from now on",
               poll->line->name, poll->settings->devices[block->device].name, read->plan->unit,
               poll->spans[from].first, poll->spans[to - 1].end - 1, read->split.cut_count + 1U);
}

/* Divides a range that was refused until its parts answer or cannot be divided; true when any part
 * answered. */
static bool divide(struct poll *poll, const struct plan_read *read, size_t from, size_t to)
{
    bool any = false;
    size_t cut = split_choose(poll->spans, from, to);
    const size_t parts[][2] = {{from, cut}, {cut, to}};
    poll->gap[cut] = split_bridges(poll->spans, cut - 1, cut + 1);
    for (size_t p = 0; p < 2; p++) {
        if (ask(poll, read, parts[p][0], parts[p][1]) == OUTCOME_OK)
            any = true;
        else if (!is_refused(&poll->newest))
            break; /* it fell silent: no time for this now */
        else if (parts[p][1] - parts[p][0] > 1)
            any |= divide(poll, read, parts[p][0], parts[p][1]);
    }
    return any;
}

/* A gap that was only divided on the way to the hole may be bridged after all. */
static void try_gaps(struct poll *poll, const struct plan_read *read, size_t from, size_t to)
{
    for (size_t i = from + 1; i < to; i++) {
        const struct result before[] = {poll->results[i - 1], poll->results[i]};
        if (!poll->gap[i] || before[0].outcome != OUTCOME_OK || before[1].outcome != OUTCOME_OK)
            continue;
        poll->gap[i] = ask(poll, read, i - 1, i + 1) != OUTCOME_OK;
        poll->results[i - 1] = before[0];
        poll->results[i] = before[1];
    }
}

static void find_holes(struct poll *poll, struct read_state *read, size_t from, size_t to)
{
    memset(poll->gap, 0, poll->span_count * sizeof *poll->gap);
    if (!divide(poll, read->plan, from, to)) {
        read->split_after = clock_after_ms(clock_mono(), SPLIT_AGAIN_MS);
        return;
    }
    try_gaps(poll, read->plan, from, to);
    remember(poll, read, from, to);
    if (read->split.cut_count == SPLIT_MAX) /* more than can be remembered */
        read->split_after = clock_after_ms(clock_mono(), SPLIT_AGAIN_MS);
}

/* A unit that never answered this read may be one that is silent about registers it does not have:
 * does it answer for what lies before the first gap? Then it is asked without bridging any. */
static void try_without_gaps(struct poll *poll, struct read_state *read)
{
    size_t cut = 1;
    while (cut < poll->span_count && !split_bridges(poll->spans, cut - 1, cut + 1))
        cut++;
    if (cut == poll->span_count || ask(poll, read->plan, 0, cut) != OUTCOME_OK)
        return;
    for (size_t from = 0, to = 1; to <= poll->span_count; to++) {
        poll->gap[to - 1] = to > 1 && split_bridges(poll->spans, to - 2, to);
        if (to < poll->span_count && !split_bridges(poll->spans, to - 1, to + 1))
            continue;
        if (from > 0)
            (void)ask(poll, read->plan, from, to);
        from = to;
    }
    remember(poll, read, 0, poll->span_count);
}

/* What to do about a request that failed, beyond telling it. */
static void look_into(struct poll *poll, struct read_state *read, size_t from, size_t to)
{
    bool divisible = to - from > 1 && !split_is_hole(&read->split, poll->spans[from].first);
    if (divisible && is_refused(&poll->newest)) {
        if (clock_mono().ns >= read->split_after.ns)
            find_holes(poll, read, from, to);
    } else if (divisible && poll->newest.outcome == OUTCOME_TIMEOUT && !read->good_once &&
               ++read->silent % SILENT_TRIES == 0) {
        try_without_gaps(poll, read);
    }
}

/* One request for a part; what is silent beside others that answer costs one try, and that seldom.
 * True when it was silent. */
static bool ask_part(struct poll *poll, struct read_state *read, size_t part, size_t from,
                     size_t to)
{
    unsigned tries = poll->tries;
    if (read->silence[part] >= SILENT_PARTS && ++read->skipped % SELDOM != 0) {
        poll->newest = (struct asked){.outcome = OUTCOME_TIMEOUT};
        poll->failed = true;
        spread(poll, from, to);
        return true;
    }
    poll->tries = read->silence[part] > 0 ? 1 : tries;
    enum outcome outcome = ask(poll, read->plan, from, to);
    poll->tries = tries;
    if (outcome == OUTCOME_OK)
        read->good_once = true;
    else
        look_into(poll, read, from, to);
    return outcome == OUTCOME_TIMEOUT;
}

static void count_silence(struct read_state *read, size_t part, bool silent)
{
    if (!silent)
        read->silence[part] = 0;
    else if (read->silence[part] < SILENT_PARTS)
        read->silence[part]++;
}

/* Between two cuts one request each. A unit that is silent altogether is not asked them all. */
static void ask_parts(struct poll *poll, struct read_state *read)
{
    bool silent[SPLIT_MAX + 1] = {false};
    size_t from = 0, part = 0, misses = 0;
    find_spans(poll);
    for (size_t to = 1; to <= poll->span_count && misses < DEAD_PARTS; to++) {
        if (to < poll->span_count && !split_is_cut(&read->split, poll->spans[to].first))
            continue;
        silent[part] = ask_part(poll, read, part, from, to);
        misses = poll->answer == SCHEDULE_ANSWERED ? 0 : misses + 1;
        part++;
        from = to;
    }
    spread(poll, from, poll->span_count);
    for (size_t p = 0; poll->answer == SCHEDULE_ANSWERED && p < part; p++)
        count_silence(read, p, silent[p]);
}

static void ask_all(struct poll *poll, struct read_state *read)
{
    if (read->split.cut_count > 0) {
        ask_parts(poll, read);
    } else if (ask(poll, read->plan, 0, 1) == OUTCOME_OK) {
        read->good_once = true;
    } else {
        find_spans(poll);
        spread(poll, 0, poll->span_count);
        look_into(poll, read, 0, poll->span_count);
    }
}

/* ---- handing on ---- */

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

/* How the registers of a point were answered. */
static const struct result *result_of(const struct poll *poll, const struct plan_block *block,
                                      uint16_t point)
{
    const struct settings_device *device = &poll->settings->devices[block->device];
    uint32_t first, end;
    size_t at = 0;
    profile_point_span(&device->profile->points[block->points[point]], &first, &end);
    while (poll->spans[at].end <= first + device->base)
        at++;
    return &poll->results[at];
}

/* Puts the quality of the failure over the points of which no register came. The first failure of
 * the block; *any: some point of it answered. */
static struct result mark_failures(struct poll *poll, const struct plan_block *block, bool *any)
{
    struct result first = {OUTCOME_OK, 0};
    *any = false;
    for (uint16_t i = 0; i < block->point_count; i++) {
        const struct result *result = result_of(poll, block, i);
        if (result->outcome == OUTCOME_OK) {
            *any = true;
            continue;
        }
        poll->values[i] = (struct value){.quality = (uint8_t)quality_of(result->outcome)};
        if (first.outcome == OUTCOME_OK)
            first = *result;
    }
    return first;
}

/* A device with two blocks in one read was asked once. */
static bool is_counted(const struct poll *poll, size_t at)
{
    uint32_t device = poll->plan->blocks[poll->due[at]].device;
    for (size_t i = 0; i < at; i++) {
        if (poll->plan->blocks[poll->due[i]].device == device)
            return true;
    }
    return false;
}

static void hand_on(struct poll *poll, size_t at, mono_time now)
{
    static const struct tally none;
    const struct plan_block *block = &poll->plan->blocks[poll->due[at]];
    struct result result = {OUTCOME_OK, 0};
    bool any = true;
    decode_block(&poll->settings->devices[block->device], block,
                 poll->registers + (block->address - poll->first), poll->values);
    if (poll->failed)
        result = mark_failures(poll, block, &any);
    const struct ledger_block polled = {.block = poll->due[at],
                                        .outcome = result.outcome,
                                        .exception = result.exception,
                                        .quality = quality_of(result.outcome),
                                        .why = poll->why,
                                        .requests = is_counted(poll, at) ? &none : &poll->requests,
                                        .values = any ? poll->values : NULL,
                                        .now = now};
    const struct sample sample = {.block = block->of_line,
                                  .line = poll->number,
                                  .points = block->point_count,
                                  .sector = (uint8_t)poll->settings->devices[block->device].sector,
                                  .count = any ? block->point_count : 0,
                                  .failure = (uint8_t)(any ? 0 : quality_of(result.outcome)),
                                  .mono = any ? poll->answered : now,
                                  .wall = any ? poll->answered_wall : clock_wall()};
    ledger_note(poll->ledger, &polled);
    pipeline_submit(poll->pipeline, &sample, poll->values);
}

bool poll_read(struct poll *poll, size_t index, uint64_t tick, bool whole, bool retry,
               struct polled *out)
{
    struct read_state *read = &poll->reads[index];
    choose_blocks(poll, read, tick, whole);
    prepare(poll, retry);
    ask_all(poll, read);
    mono_time now = poll->failed ? clock_mono() : poll->answered;
    if (poll->failed && asker_is_interrupted(poll->asker))
        return false; /* our own interruption is no news of the unit */
    for (size_t i = 0; i < poll->due_count; i++)
        hand_on(poll, i, now);
    ledger_poll(poll->ledger, read->plan->unit, &poll->requests,
                asker_noise(poll->asker, read->plan->unit), poll->busy_ns, asker_is_up(poll->asker),
                now);
    *out = (struct polled){poll->answer, poll->busy_ns, now};
    return true;
}

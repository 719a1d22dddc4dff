/* The books of one line.
 *
 * Written by the line's thread, read by the API and the uplinks through copies; everything lies
 * under one mutex, which is never held while something waits. Logs one line per change of state of
 * a device, and of a line that has too much to do. Never asks anybody anything. */
#include "gateway/poll/ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/log.h"

enum {
    LOAD_WINDOW_MS = 10000,
    LOAD_FIRST_MS = 500, /* before that a load would be about one request */
    NAMED = 3,           /* slipping devices in the log */
};

/* One poll in twenty left out, or more: less is the jitter of a busy moment. */
#define SLIPS_ABOVE 1.05F

/* The newest poll of a block. */
struct verdict {
    enum outcome outcome;
    bool mute; /* not one of its points answered */
};

struct entry {
    uint32_t index; /* into the settings */
    struct line_device_status status;
    bool silent;
    uint32_t first_block; /* of the plan; its others follow */
    struct verdict *verdicts;
    struct transport_noise noise; /* of its unit, as far as it is counted */
};

struct ledger {
    const struct settings *settings;
    const struct plan *plan;
    const char *name;
    pthread_mutex_t mutex;
    struct line_status status;
    struct entry *devices;
    struct verdict *verdicts; /* what the devices' lie in */
    int64_t busy_ns;          /* of the window */
    mono_time window;
    bool window_full; /* there was a whole one */
    bool overload_told;
};

/* Finds the line's devices and their blocks, in the order of the plan. */
static void find_places(struct ledger *ledger, uint32_t line)
{
    const struct plan *plan = ledger->plan;
    struct verdict *verdict = ledger->verdicts;
    uint32_t place = 0;
    for (uint32_t b = 0; b < plan->block_count; b++) {
        if (plan->blocks[b].line != line)
            continue;
        if (b == 0 || plan->blocks[b].device != plan->blocks[b - 1].device) {
            struct entry *device = &ledger->devices[place++];
            device->index = plan->blocks[b].device;
            device->first_block = b;
            device->verdicts = verdict;
        }
        verdict++;
    }
    ledger->status.devices = place;
}

struct ledger *ledger_new(const struct settings *settings, const struct plan *plan, uint32_t line)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger)
        return NULL;
    ledger->settings = settings;
    ledger->plan = plan;
    ledger->name = settings->lines[line].name;
    pthread_mutex_init(&ledger->mutex, NULL);
    size_t own = 0, blocks = 0;
    for (uint32_t d = 0; d < settings->device_count; d++)
        own += settings->devices[d].line == line;
    for (size_t b = 0; b < plan->block_count; b++)
        blocks += plan->blocks[b].line == line;
    ledger->devices = calloc(own + 1, sizeof *ledger->devices);
    ledger->verdicts = calloc(blocks + 1, sizeof *ledger->verdicts);
    if (!ledger->devices || !ledger->verdicts) {
        ledger_free(ledger);
        return NULL;
    }
    find_places(ledger, line);
    for (uint32_t i = 0; i < ledger->status.devices; i++)
        ledger->devices[i].status.stretch = 1;
    ledger->window = clock_mono();
    return ledger;
}

void ledger_rebind(struct ledger *ledger, const struct settings *settings, const struct plan *plan,
                   uint32_t line)
{
    pthread_mutex_lock(&ledger->mutex);
    ledger->settings = settings;
    ledger->plan = plan;
    ledger->name = settings->lines[line].name;
    find_places(ledger, line);
    pthread_mutex_unlock(&ledger->mutex);
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    pthread_mutex_destroy(&ledger->mutex);
    free(ledger->devices);
    free(ledger->verdicts);
    free(ledger);
}

void ledger_line(struct ledger *ledger, struct line_status *out)
{
    pthread_mutex_lock(&ledger->mutex);
    *out = ledger->status;
    pthread_mutex_unlock(&ledger->mutex);
}

static struct entry *find(struct ledger *ledger, uint32_t device)
{
    for (uint32_t i = 0; i < ledger->status.devices; i++) {
        if (ledger->devices[i].index == device)
            return &ledger->devices[i];
    }
    return NULL;
}

bool ledger_device(struct ledger *ledger, uint32_t place, struct line_device_status *out)
{
    pthread_mutex_lock(&ledger->mutex);
    bool found = place < ledger->status.devices;
    if (found)
        *out = ledger->devices[place].status;
    pthread_mutex_unlock(&ledger->mutex);
    return found;
}

uint32_t ledger_index(struct ledger *ledger, uint32_t place)
{
    pthread_mutex_lock(&ledger->mutex);
    bool found = place < ledger->status.devices;
    uint32_t index = found ? ledger->devices[place].index : UINT32_MAX;
    pthread_mutex_unlock(&ledger->mutex);
    return index;
}

/* A device is as its first block that fails: one that answers beside it does not make it well.
 * Silent are those of which nothing answers. */
static void judge(struct ledger *ledger, struct entry *device)
{
    bool was_silent = device->silent;
    uint32_t block = device->first_block;
    const struct verdict *verdict = device->verdicts;
    device->silent = true;
    device->status.outcome = OUTCOME_OK;
    for (; block < ledger->plan->block_count && ledger->plan->blocks[block].device == device->index;
         block++, verdict++) {
        device->silent &= verdict->mute;
        if (device->status.outcome == OUTCOME_OK)
            device->status.outcome = verdict->outcome;
    }
    ledger->status.silent += device->silent;
    ledger->status.silent -= was_silent;
}

void ledger_note(struct ledger *ledger, const struct ledger_block *polled)
{
    const struct plan_block *block = &ledger->plan->blocks[polled->block];
    pthread_mutex_lock(&ledger->mutex);
    struct entry *device = find(ledger, block->device);
    enum outcome before = device->status.outcome;
    struct verdict *verdict = &device->verdicts[polled->block - device->first_block];
    struct verdict newest = {polled->outcome, polled->values == NULL};
    if (verdict->outcome != newest.outcome || verdict->mute != newest.mute) {
        *verdict = newest;
        judge(ledger, device);
    }
    enum outcome after = device->status.outcome;
    device->status.asked = true;
    if (polled->outcome == after)
        device->status.exception = polled->exception;
    if (polled->values)
        device->status.good = polled->now;
    tally_add(&device->status.tally, polled->requests);
    if (polled->values) {
        tally_values(&device->status.tally, polled->values, block->point_count);
        tally_values(&ledger->status.tally, polled->values, block->point_count);
    } else {
        device->status.tally.values[polled->quality] += block->point_count;
        ledger->status.tally.values[polled->quality] += block->point_count;
    }
    pthread_mutex_unlock(&ledger->mutex);
    const struct settings_device *own = &ledger->settings->devices[block->device];
    if (before != after && before != OUTCOME_LINK && after == OUTCOME_OK)
        log_notice("line %s: %s (unit %u) answers again", ledger->name, own->name, own->unit);
    else if (before != after && after != OUTCOME_LINK)
        log_warning("line %s: %s (unit %u): %s", ledger->name, own->name, own->unit,
                    polled->outcome == after ? polled->why : transport_outcome_name(after));
}

/* Late and foreign frames belong to the unit, so to each of its devices; to the line once. */
static void note_noise(struct ledger *ledger, uint8_t unit, struct transport_noise noise)
{
    bool first = true;
    for (uint32_t i = 0; i < ledger->status.devices; i++) {
        struct entry *device = &ledger->devices[i];
        uint32_t late = noise.late - device->noise.late;
        uint32_t foreign = noise.foreign - device->noise.foreign;
        if (ledger->settings->devices[device->index].unit != unit || (late == 0 && foreign == 0))
            continue;
        device->noise = noise;
        device->status.tally.late += late;
        device->status.tally.foreign += foreign;
        ledger->status.tally.late += first ? late : 0;
        ledger->status.tally.foreign += first ? foreign : 0;
        first = false;
    }
}

static bool slips(const struct entry *device)
{
    return !device->status.resting && device->status.stretch > SLIPS_ABOVE;
}

/* The worst of those that slip; true when there are any. */
static bool describe_slipping(const struct ledger *ledger, char *out, size_t size)
{
    const struct entry *worst[NAMED] = {NULL};
    size_t count = 0, length = 0;
    for (uint32_t i = 0; i < ledger->status.devices; i++) {
        const struct entry *device = &ledger->devices[i];
        if (!slips(device))
            continue;
        size_t at = count < NAMED ? count++ : NAMED;
        for (; at > 0 && worst[at - 1]->status.stretch < device->status.stretch; at--) {
            if (at < NAMED)
                worst[at] = worst[at - 1];
        }
        if (at < NAMED)
            worst[at] = device;
    }
    for (size_t i = 0; i < count && length < size; i++) {
        int wrote = snprintf(out + length, size - length, "%s%s slips to %.1f times its period",
                             i ? ", " : "", ledger->settings->devices[worst[i]->index].name,
                             (double)worst[i]->status.stretch);
        length += wrote > 0 ? (size_t)wrote : 0;
    }
    return count > 0;
}

/* Under the mutex. True when the line began or ceased to slip in the window that ends now. */
static bool measure_load(struct ledger *ledger, int64_t busy_ns, mono_time now)
{
    ledger->busy_ns += busy_ns;
    int64_t window_ms = clock_ms_between(ledger->window, now);
    if (window_ms >= LOAD_FIRST_MS && (!ledger->window_full || window_ms >= LOAD_WINDOW_MS))
        ledger->status.load_percent = (uint32_t)(ledger->busy_ns / 10000 / window_ms);
    if (window_ms < LOAD_WINDOW_MS)
        return false;
    ledger->window_full = true;
    ledger->busy_ns = 0;
    ledger->window = now;
    bool changed = ledger->overload_told != (ledger->status.slipping > 0);
    ledger->overload_told = ledger->status.slipping > 0;
    return changed;
}

void ledger_poll(struct ledger *ledger, uint8_t unit, const struct tally *requests,
                 struct transport_noise noise, int64_t busy_ns, bool open, mono_time now)
{
    char slipping[400] = "";
    pthread_mutex_lock(&ledger->mutex);
    tally_add(&ledger->status.tally, requests);
    note_noise(ledger, unit, noise);
    ledger->status.open = open;
    bool changed = measure_load(ledger, busy_ns, now);
    bool overload = changed && describe_slipping(ledger, slipping, sizeof slipping);
    pthread_mutex_unlock(&ledger->mutex);
    if (overload)
        log_warning("line %s has too much to do: %s", ledger->name, slipping);
    else if (changed)
        log_notice("line %s keeps its periods again", ledger->name);
}

void ledger_pace(struct ledger *ledger, uint32_t device, const struct ledger_pace *pace)
{
    pthread_mutex_lock(&ledger->mutex);
    struct entry *entry = find(ledger, device);
    struct line_device_status *status = &entry->status;
    bool slipped_before = slips(entry);
    ledger->status.slipped += pace->slipped - status->slipped;
    status->next = pace->next;
    status->resting = pace->resting;
    status->slipped = pace->slipped;
    status->stretch = pace->stretch;
    status->holes = pace->holes;
    ledger->status.slipping += slips(entry);
    ledger->status.slipping -= slipped_before;
    pthread_mutex_unlock(&ledger->mutex);
}

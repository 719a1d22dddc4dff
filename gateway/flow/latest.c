/* The table of the newest samples.
 * The pipeline writes, the main thread reads; one mutex, held for a copy only. Owns its arrays,
 * allocated once from the plan; a reload makes another one that goes on where this ends.
 * Never waits and never judges. */
#include "gateway/flow/latest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint32_t first; /* of its values */
    uint16_t count;
    struct sample sample;
    mono_time good;
    uint64_t version; /* 0 = nothing yet */
};

struct latest {
    pthread_mutex_t mutex;
    size_t count;
    struct entry *entries;
    struct value *values;
};

struct latest *latest_new(const struct plan *plan)
{
    struct latest *latest = calloc(1, sizeof *latest);
    if (!latest)
        return NULL;
    pthread_mutex_init(&latest->mutex, NULL);
    latest->count = plan->block_count;
    latest->entries = calloc(plan->block_count + 1, sizeof *latest->entries);
    size_t values = 0;
    for (size_t i = 0; latest->entries && i < plan->block_count; i++) {
        latest->entries[i].first = (uint32_t)values;
        latest->entries[i].count = plan->blocks[i].point_count;
        values += plan->blocks[i].point_count;
    }
    latest->values = calloc(values + 1, sizeof *latest->values);
    if (!latest->entries || !latest->values) {
        latest_free(latest);
        return NULL;
    }
    return latest;
}

void latest_free(struct latest *latest)
{
    if (!latest)
        return;
    pthread_mutex_destroy(&latest->mutex);
    free(latest->entries);
    free(latest->values);
    free(latest);
}

void latest_set(struct latest *latest, uint32_t block, const struct sample *sample,
                const struct value *values)
{
    struct entry *entry = &latest->entries[block];
    pthread_mutex_lock(&latest->mutex);
    entry->sample = *sample;
    entry->version++;
    if (sample->count) {
        entry->good = sample->mono;
        memcpy(latest->values + entry->first, values, sample->count * sizeof *values);
    }
    pthread_mutex_unlock(&latest->mutex);
}

/* Nobody else knows the new one yet, so only the old one is locked. */
void latest_carry(struct latest *latest, struct latest *before, const uint32_t *from)
{
    pthread_mutex_lock(&before->mutex);
    for (size_t b = 0; b < latest->count; b++) {
        if (from[b] >= before->count)
            continue;
        struct entry *entry = &latest->entries[b];
        const struct entry *was = &before->entries[from[b]];
        entry->sample = was->sample;
        entry->good = was->good;
        entry->version = was->version;
        memcpy(latest->values + entry->first, before->values + was->first,
               entry->count * sizeof *latest->values);
    }
    pthread_mutex_unlock(&before->mutex);
}

bool latest_get(struct latest *latest, uint32_t block, struct sample *sample, struct value *values,
                mono_time *good)
{
    const struct entry *entry = &latest->entries[block];
    pthread_mutex_lock(&latest->mutex);
    bool any = entry->version > 0;
    *sample = entry->sample;
    sample->count = entry->count;
    *good = entry->good;
    memcpy(values, latest->values + entry->first, entry->count * sizeof *values);
    pthread_mutex_unlock(&latest->mutex);
    return any;
}

uint64_t latest_version(struct latest *latest, uint32_t block)
{
    pthread_mutex_lock(&latest->mutex);
    uint64_t version = latest->entries[block].version;
    pthread_mutex_unlock(&latest->mutex);
    return version;
}

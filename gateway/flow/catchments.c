/* Which sample is rain or flow of which catchment, and the turns of their clocks.
 *
 * Runs in the pipeline thread; what is shown to others is a copy under a mutex, made at each tick.
 * Owns one struct runoff a catchment. A point may serve several catchments. Never looks at a clock,
 * never blocks but for that mutex. */
#include "gateway/flow/catchments.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 30000 }; /* an event is told within a minute of its end */

/* A point of a block that a catchment looks at. */
struct use {
    uint32_t block;
    uint16_t place; /* in the block */
    bool is_rain;
    uint32_t catchment, sensor; /* sensor: gauge or outfall of it */
    double divisor;             /* of its steps; 0 = it is a float */
};

struct catchments {
    const struct settings *settings;
    const struct plan *plan;
    struct runoff **runoffs; /* [catchment of the settings] */
    struct use *uses;        /* by block */
    size_t use_count;
    uint32_t *block_first; /* [block] into uses; [block_count] is the end */
    mono_time next;
    pthread_mutex_t mutex; /* of what follows */
    struct runoff_now *shown;
};

/* ---- construction ---- */

static void add_use(struct catchments *catchments, const struct rule_point *point, struct use use)
{
    const struct plan *plan = catchments->plan;
    for (uint32_t b = 0; b < plan->block_count; b++) {
        const struct plan_block *block = &plan->blocks[b];
        for (uint16_t i = 0; block->device == point->device && i < block->point_count; i++) {
            if (block->points[i] != point->point)
                continue;
            const struct profile_point *own =
                &catchments->settings->devices[point->device].profile->points[point->point];
            use.block = b;
            use.place = i;
            use.divisor = own->is_float ? 0 : pow(10, own->decimals);
            catchments->uses[catchments->use_count++] = use;
        }
    }
}

static int by_block(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    return x->block < y->block ? -1 : x->block > y->block;
}

static void find_uses(struct catchments *catchments)
{
    const struct settings *settings = catchments->settings;
    for (uint32_t c = 0; c < settings->catchment_count; c++) {
        const struct catchment *own = &settings->catchments[c];
        for (uint32_t i = 0; i < own->gauge_count; i++)
            add_use(catchments, &own->gauges[i].point,
                    (struct use){.is_rain = true, .catchment = c, .sensor = i});
        for (uint32_t i = 0; i < own->outfall_count; i++)
            add_use(catchments, &own->outfalls[i].point, (struct use){.catchment = c, .sensor = i});
    }
    qsort(catchments->uses, catchments->use_count, sizeof *catchments->uses, by_block);
    for (size_t b = 0, u = 0; b <= catchments->plan->block_count; b++) {
        while (u < catchments->use_count && catchments->uses[u].block < b)
            u++;
        catchments->block_first[b] = (uint32_t)u;
    }
}

struct catchments *catchments_new(const struct settings *settings, const struct plan *plan)
{
    struct catchments *catchments = calloc(1, sizeof *catchments);
    size_t count = settings->catchment_count, sensors = 0;
    if (!catchments)
        return NULL;
    *catchments = (struct catchments){.settings = settings, .plan = plan};
    pthread_mutex_init(&catchments->mutex, NULL);
    for (size_t c = 0; c < count; c++)
        sensors += settings->catchments[c].gauge_count + settings->catchments[c].outfall_count;
    catchments->runoffs = calloc(count + 1, sizeof(struct runoff *));
    catchments->shown = calloc(count + 1, sizeof *catchments->shown);
    catchments->uses = calloc(sensors + 1, sizeof *catchments->uses);
    catchments->block_first = calloc(plan->block_count + 1, sizeof *catchments->block_first);
    bool ok =
        catchments->runoffs && catchments->shown && catchments->uses && catchments->block_first;
    for (size_t c = 0; ok && c < count; c++)
        ok = (catchments->runoffs[c] = runoff_new(&settings->catchments[c])) != NULL;
    if (!ok) {
        catchments_free(catchments);
        return NULL;
    }
    find_uses(catchments);
    return catchments;
}

void catchments_free(struct catchments *catchments)
{
    if (!catchments)
        return;
    for (size_t c = 0; catchments->runoffs && c < catchments->settings->catchment_count; c++)
        runoff_free(catchments->runoffs[c]);
    pthread_mutex_destroy(&catchments->mutex);
    free(catchments->runoffs);
    free(catchments->shown);
    free(catchments->uses);
    free(catchments->block_first);
    free(catchments);
}

/* ---- samples and time ---- */

void catchments_sample(struct catchments *catchments, uint32_t block, const struct sample *sample,
                       const struct value *values)
{
    for (uint32_t u = catchments->block_first[block]; u < catchments->block_first[block + 1]; u++) {
        const struct use *use = &catchments->uses[u];
        const struct catchment *own = &catchments->settings->catchments[use->catchment];
        struct runoff *runoff = catchments->runoffs[use->catchment];
        const struct value *value = &values[use->place];
        bool usable = sample->count && names_quality_usable((enum quality)value->quality);
        double number = !usable            ? 0
                        : use->divisor > 0 ? (double)value->steps / use->divisor
                                           : (double)value->real;
        if (use->is_rain)
            runoff_rain(runoff, use->sensor, number * own->gauges[use->sensor].to_mm, usable,
                        sample->mono, sample->wall);
        else
            runoff_flow(runoff, use->sensor, number * own->outfalls[use->sensor].to_m3_s, usable,
                        sample->mono, sample->wall);
    }
}

mono_time catchments_due(const struct catchments *catchments)
{
    bool any = catchments->settings->catchment_count > 0;
    return any ? catchments->next : (mono_time){INT64_MAX};
}

static void show(struct catchments *catchments)
{
    pthread_mutex_lock(&catchments->mutex);
    for (size_t c = 0; c < catchments->settings->catchment_count; c++)
        runoff_look(catchments->runoffs[c], &catchments->shown[c]);
    pthread_mutex_unlock(&catchments->mutex);
}

void catchments_tick(struct catchments *catchments, mono_time mono, wall_time wall,
                     void (*tell)(void *context, enum sector sector,
                                  const struct runoff_event *event),
                     void *context)
{
    const struct settings *settings = catchments->settings;
    if (mono.ns < catchments_due(catchments).ns)
        return;
    for (size_t c = 0; c < settings->catchment_count; c++) {
        const struct runoff_event *event = runoff_tick(catchments->runoffs[c], mono, wall);
        const struct rule_point *rain = &settings->catchments[c].gauges[0].point;
        if (event)
            tell(context, settings->devices[rain->device].sector, event);
    }
    catchments->next = clock_after_ms(mono, TICK_MS);
    show(catchments);
}

/* ---- over a reload and a restart ---- */

void catchments_carry(struct catchments *catchments, struct catchments *before)
{
    for (size_t c = 0; c < catchments->settings->catchment_count; c++) {
        const struct catchment *own = &catchments->settings->catchments[c];
        for (size_t b = 0; b < before->settings->catchment_count; b++) {
            if (!before->runoffs[b] || !catchment_same(own, &before->settings->catchments[b]))
                continue;
            runoff_free(catchments->runoffs[c]);
            catchments->runoffs[c] = before->runoffs[b];
            before->runoffs[b] = NULL;
            runoff_rebind(catchments->runoffs[c], own);
        }
    }
    show(catchments);
}

bool catchments_save(const struct catchments *catchments, size_t *at, const char **name,
                     uint8_t out[RUNOFF_SAVE_MAX], size_t *length)
{
    if (*at >= catchments->settings->catchment_count)
        return false;
    *name = catchments->settings->catchments[*at].name;
    *length = runoff_save(catchments->runoffs[*at], out, RUNOFF_SAVE_MAX);
    ++*at;
    return true;
}

void catchments_load(struct catchments *catchments, const char *name, const uint8_t *bytes,
                     size_t length)
{
    for (size_t c = 0; c < catchments->settings->catchment_count; c++) {
        if (strcmp(catchments->settings->catchments[c].name, name) == 0)
            (void)!runoff_load(catchments->runoffs[c], bytes, length);
    }
    show(catchments);
}

bool catchments_look(struct catchments *catchments, size_t number, const char **name,
                     struct runoff_now *out)
{
    if (number >= catchments->settings->catchment_count)
        return false;
    *name = catchments->settings->catchments[number].name;
    pthread_mutex_lock(&catchments->mutex);
    *out = catchments->shown[number];
    pthread_mutex_unlock(&catchments->mutex);
    return true;
}

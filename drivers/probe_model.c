/* Which model a unit is: its answers held against what each profile says.
 *
 * Runs in the thread of `lifelinectl probe`; owns what it returns. A profile fits when its
 * fingerprint is there and every register that a gateway would read answers with sense. Each
 * register is asked once, whatever number of profiles want it. Never guesses: two profiles that fit
 * alike are both named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/decode.h"
#include "drivers/probe.h"

enum { EVERY_MS = 1000, GARBLED_TRIES = 3, QUIET_TRIES = 2 };

/* One question and what came of it. */
struct asked {
    struct transport_request request;
    enum outcome outcome;
    uint8_t exception;
    uint16_t registers[PROBE_REGISTERS_MAX];
};

/* What is known of one unit while its profiles are tried. */
struct session {
    const struct probe *probe;
    const struct probe_unit *unit;
    uint16_t base;
    bool fresh; /* ask everything anew, and all of it; otherwise the first misfit ends it */
    struct asked *asked;
    size_t count;
    uint32_t garbled;
    bool enough; /* the callback says no more, or there is no memory */
};

/* A profile as a configuration of one device, so that it is read as a gateway would read it. */
struct model {
    struct settings settings;
    struct settings_line line;
    struct settings_device device;
    struct plan *plan;
};

static bool model_open(struct model *model, const struct session *session,
                       const struct profile *profile)
{
    static char name[] = "probe";
    *model = (struct model){.line = *session->probe->line};
    if (session->unit->serial.baud > 0)
        model->line.serial = session->unit->serial;
    model->device = (struct settings_device){
        .name = name,
        .unit = session->unit->unit,
        .base = session->base,
        .profile = profile,
        .sector = profile->sector,
        .every_ms = EVERY_MS,
        .points = calloc(profile->point_count + 1, sizeof *model->device.points),
    };
    model->settings = (struct settings){
        .lines = &model->line, .line_count = 1, .devices = &model->device, .device_count = 1};
    if (model->device.points == NULL)
        return false;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        model->device.points[i] =
            (struct settings_point){.every_ms = EVERY_MS,
                                    .has_range = point->min != 0 || point->max != 0,
                                    .min = point->min,
                                    .max = point->max};
    }
    model->plan = plan_new(&model->settings);
    return model->plan != NULL;
}

static void model_close(struct model *model)
{
    plan_free(model->plan);
    free(model->device.points);
}

static const struct asked *recall(const struct session *session,
                                  const struct transport_request *request)
{
    for (size_t i = 0; !session->fresh && i < session->count; i++) {
        const struct transport_request *known = &session->asked[i].request;
        if (known->function == request->function && known->address == request->address &&
            known->count == request->count)
            return &session->asked[i];
    }
    return NULL;
}

/* NULL when no more can be asked. */
static const struct asked *ask(struct session *session, enum function function, uint32_t address,
                               uint32_t count)
{
    struct probe_question question = {
        .request = {session->unit->unit, function, (uint16_t)(address + session->base),
                    (uint16_t)count, 0},
        .serial = session->unit->serial,
    };
    struct probe_answer answer;
    const struct asked *known = recall(session, &question.request);
    if (known != NULL)
        return known;
    struct asked *grown = realloc(session->asked, (session->count + 1) * sizeof *grown);
    session->enough |= grown == NULL;
    if (grown == NULL)
        return NULL;
    session->asked = grown;
    int quiet = 0;
    for (int tries = 0; tries < GARBLED_TRIES; tries++) {
        if (!session->probe->ask(session->probe->context, &question, &answer)) {
            session->enough = true;
            return NULL;
        }
        session->garbled += answer.outcome == OUTCOME_GARBLED;
        quiet += answer.outcome == OUTCOME_TIMEOUT;
        /* Silence is the answer of many a sensor to a register it does not have. */
        if (answer.outcome == OUTCOME_OK || answer.outcome == OUTCOME_EXCEPTION ||
            quiet >= (session->fresh ? QUIET_TRIES : 1))
            break;
    }
    struct asked *now = &session->asked[session->count++];
    *now = (struct asked){
        .request = question.request, .outcome = answer.outcome, .exception = answer.exception};
    memcpy(now->registers, answer.registers, sizeof now->registers);
    return now;
}

/* Only the first objection is told. */
static void object(struct probe_reading *reading, const char *what, const char *why)
{
    reading->verdict = PROBE_UNFIT;
    if (reading->why[0] == '\0')
        snprintf(reading->why, sizeof reading->why, "%s: %s", what, why);
}

static void object_to_answer(struct probe_reading *reading, const struct asked *asked)
{
    char what[48], why[32];
    unsigned first = asked->request.address, last = first + asked->request.count - 1;
    snprintf(what, sizeof what, first == last ? "register 0x%04X" : "registers 0x%04X to 0x%04X",
             first, last);
    snprintf(why, sizeof why, "%s", transport_outcome_name(asked->outcome));
    if (asked->outcome == OUTCOME_EXCEPTION)
        snprintf(why, sizeof why, "exception %u", asked->exception);
    object(reading, what, why);
}

/* False when there is no use in going on. */
static bool compare_mark(struct session *session, const struct profile_mark *mark,
                         struct probe_reading *reading)
{
    const struct asked *asked = ask(session, mark->function, mark->address, 1);
    if (asked == NULL)
        return false;
    if (asked->outcome != OUTCOME_OK) {
        object_to_answer(reading, asked);
        return session->fresh;
    }
    unsigned content = (asked->registers[0] & mark->mask) >> __builtin_ctz(mark->mask);
    unsigned least = mark->is_unit ? session->unit->unit : mark->min;
    unsigned most = mark->is_unit ? session->unit->unit : mark->max;
    if (content >= least && content <= most)
        return true;
    char what[48], why[48];
    snprintf(what, sizeof what, "register 0x%04X", asked->request.address);
    snprintf(why, sizeof why, least == most ? "%u instead of %u" : "%u is not %u to %u", content,
             least, most);
    object(reading, what, why);
    return session->fresh;
}

/* The registers that one read asks for, the device's base taken off again. */
static void hull(const struct plan *plan, const struct plan_read *read, uint16_t base,
                 uint32_t *first, uint32_t *end)
{
    *first = UINT32_MAX;
    *end = 0;
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &plan->blocks[read->blocks[i]];
        uint32_t address = (uint32_t)block->address - base;
        *first = address < *first ? address : *first;
        *end = address + block->count > *end ? address + block->count : *end;
    }
}

static bool take_read(struct session *session, const struct model *model,
                      const struct plan_read *read, struct value *scratch,
                      struct probe_reading *reading)
{
    uint32_t first, end;
    hull(model->plan, read, session->base, &first, &end);
    if (end - first > PROBE_REGISTERS_MAX) { /* only bits come so many at once */
        object(reading, "bits", "more at once than a probe asks for");
        return session->fresh;
    }
    const struct asked *asked = ask(session, read->function, first, end - first);
    if (asked == NULL)
        return false;
    if (asked->outcome != OUTCOME_OK) {
        object_to_answer(reading, asked);
        return session->fresh;
    }
    reading->registers += end - first;
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &model->plan->blocks[read->blocks[i]];
        decode_block(&model->device, block,
                     asked->registers + (block->address - asked->request.address), scratch);
        for (uint16_t p = 0; p < block->point_count; p++)
            reading->values[block->points[p]] = scratch[p];
    }
    return true;
}

/* A level below an unknown mounting height says nothing. Outside its range no value has sense; one
 * that the sensor itself calls invalid has, if it is known by other signs. */
static void judge_values(const struct profile *profile, struct probe_reading *reading)
{
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        struct value *value = &reading->values[i];
        enum quality quality = (enum quality)value->quality;
        bool excused =
            quality == QUALITY_OUT_OF_RANGE ? point->below_mount : profile->fingerprint_count > 0;
        if (!names_quality_usable(quality) && !excused)
            object(reading, point->name, names_quality(quality));
        if (point->below_mount)
            *value = (struct value){.quality = QUALITY_STALE};
    }
}

static void read_all(struct session *session, const struct model *model,
                     struct probe_reading *reading)
{
    const struct profile *profile = reading->profile;
    struct value *scratch = calloc(profile->point_count + 1, sizeof *scratch);
    bool going = scratch != NULL;
    session->enough |= scratch == NULL;
    reading->verdict = profile->fingerprint_count > 0 ? PROBE_RECOGNISED : PROBE_FITS;
    for (size_t i = 0; going && i < profile->fingerprint_count; i++)
        going = compare_mark(session, &profile->fingerprint[i], reading);
    for (size_t i = 0; going && i < model->plan->read_count; i++)
        going = take_read(session, model, &model->plan->reads[i], scratch, reading);
    judge_values(profile, reading);
    free(scratch);
}

static void read_profile(struct session *session, const struct profile *profile,
                         struct probe_reading *out)
{
    struct model model;
    *out = (struct probe_reading){.profile = profile,
                                  .values = calloc(profile->point_count + 1, sizeof *out->values)};
    bool good = model_open(&model, session, profile) && out->values != NULL;
    for (size_t i = 0; good && i < profile->point_count; i++)
        out->values[i].quality = QUALITY_STALE;
    session->enough |= !good;
    if (good)
        read_all(session, &model, out);
    model_close(&model);
}

bool probe_read(const struct probe *probe, const struct probe_unit *unit, uint16_t base,
                const struct profile *profile, struct probe_reading *out)
{
    struct session session = {.probe = probe, .unit = unit, .base = base, .fresh = true};
    read_profile(&session, profile, out);
    free(session.asked);
    return !session.enough;
}

void probe_reading_free(struct probe_reading *reading)
{
    free(reading->values);
    reading->values = NULL;
}

static bool has_its_serial(const struct probe_reading *reading, const struct serial *serial)
{
    return reading->profile->has_serial && reading->profile->serial.baud == serial->baud;
}

/* The likelier one first; that alone tells nothing apart. */
static void sort(struct probe_models *models, const struct serial *serial)
{
    for (size_t i = 1; i < models->count; i++) {
        struct probe_reading moved = models->fits[i];
        size_t at = i;
        for (; at > 0; at--) {
            const struct probe_reading *before = &models->fits[at - 1];
            bool own = has_its_serial(&moved, serial), other = has_its_serial(before, serial);
            if (own < other || (own == other && moved.registers <= before->registers))
                break;
            models->fits[at] = models->fits[at - 1];
        }
        models->fits[at] = moved;
    }
}

static void keep_recognised(struct probe_models *models)
{
    size_t kept = 0, recognised = 0;
    for (size_t i = 0; i < models->count; i++)
        recognised += models->fits[i].verdict == PROBE_RECOGNISED;
    for (size_t i = 0; recognised > 0 && i < models->count; i++) {
        if (models->fits[i].verdict == PROBE_RECOGNISED)
            models->fits[kept++] = models->fits[i];
        else
            probe_reading_free(&models->fits[i]);
    }
    models->count = recognised > 0 ? kept : models->count;
}

bool probe_models(const struct probe *probe, struct probe_unit *unit, struct probe_models *out)
{
    const struct probe_catalogue *catalogue = probe->catalogue;
    struct session session = {.probe = probe, .unit = unit};
    *out = (struct probe_models){.fits = calloc(catalogue->count + 1, sizeof *out->fits)};
    session.enough = out->fits == NULL;
    for (size_t i = 0; !session.enough && i < catalogue->count; i++) {
        struct probe_reading *reading = &out->fits[out->count];
        read_profile(&session, catalogue->profiles[i], reading);
        if (session.enough || reading->verdict == PROBE_UNFIT)
            probe_reading_free(reading);
        else
            out->count++;
    }
    keep_recognised(out);
    sort(out, &unit->serial);
    unit->garbled += session.garbled;
    free(session.asked);
    return !session.enough;
}

void probe_models_free(struct probe_models *models)
{
    for (size_t i = 0; i < models->count; i++)
        probe_reading_free(&models->fits[i]);
    free(models->fits);
    *models = (struct probe_models){0};
}

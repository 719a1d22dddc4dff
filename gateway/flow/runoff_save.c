/* What of a catchment survives a restart, as bytes: the dry-weather pattern and the event going on.
 *
 * Pure; the pipeline thread. One walk over the fields serves both directions, so that they cannot
 * drift apart; another order or another field is another VERSION. Loading reads into the spare
 * struct behind the one that runs and takes it over only when all of it can be true: no number that
 * is not finite, no time that is not in order. Never trusts a byte. */
#include <math.h>
#include <string.h>

#include "gateway/flow/runoff_parts.h"

#define MAGIC      UINT64_C(0x46464f4e5552) /* "RUNOFF" */
#define NUMBER_MAX 1e15
#define TIME_MAX   (INT64_C(1) << 52)

enum { VERSION = 1 };

struct codec {
    uint8_t *out; /* NULL: it reads */
    const uint8_t *in;
    size_t at, size;
    bool bad;
};

/* ---- fields, little-endian, eight bytes each ---- */

static void code_bits(struct codec *codec, uint64_t *bits)
{
    if (codec->bad || codec->size - codec->at < 8) {
        codec->bad = true;
        return;
    }
    uint64_t read = 0;
    for (unsigned int i = 0; i < 8; i++) {
        if (codec->out != NULL)
            codec->out[codec->at + i] = (uint8_t)(*bits >> (8 * i));
        else
            read |= (uint64_t)codec->in[codec->at + i] << (8 * i);
    }
    if (codec->out == NULL)
        *bits = read;
    codec->at += 8;
}

/* A constant: what is read must be the same. */
static void code_mark(struct codec *codec, uint64_t mark)
{
    uint64_t bits = mark;
    code_bits(codec, &bits);
    codec->bad = codec->bad || bits != mark;
}

static void code_time(struct codec *codec, int64_t *ms)
{
    uint64_t bits = (uint64_t)*ms;
    code_bits(codec, &bits);
    *ms = (int64_t)bits;
    codec->bad = codec->bad || *ms > TIME_MAX || *ms < -TIME_MAX;
}

static void code_count(struct codec *codec, uint32_t *count)
{
    uint64_t bits = *count;
    code_bits(codec, &bits);
    codec->bad = codec->bad || bits > UINT32_MAX;
    *count = (uint32_t)bits;
}

static void code_flag(struct codec *codec, bool *flag)
{
    uint32_t count = *flag;
    code_count(codec, &count);
    codec->bad = codec->bad || count > 1;
    *flag = count == 1;
}

static void code_number(struct codec *codec, double *number)
{
    uint64_t bits;
    memcpy(&bits, number, sizeof bits);
    code_bits(codec, &bits);
    memcpy(number, &bits, sizeof bits);
    codec->bad = codec->bad || !(fabs(*number) <= NUMBER_MAX);
}

/* ---- the walk ---- */

static void code_pattern(struct codec *codec, struct outfall *outfall)
{
    for (size_t h = 0; h < RUNOFF_HOURS; h++) {
        struct base_hour *hour = &outfall->hours[h];
        code_count(codec, &hour->days);
        code_number(codec, &hour->mean);
        code_number(codec, &hour->spread);
        code_number(codec, &hour->blind);
    }
    code_time(codec, &outfall->dry.number);
    code_number(codec, &outfall->dry.ms);
    code_number(codec, &outfall->dry.flow_ms);
    code_number(codec, &outfall->dry.blind_ms);
}

static void code_outfall(struct codec *codec, struct outfall *outfall)
{
    code_flag(codec, &outfall->ever);
    code_time(codec, &outfall->at);
    code_number(codec, &outfall->m3_s);
    code_number(codec, &outfall->excess);
    code_bits(codec, &outfall->minutes);
    code_flag(codec, &outfall->has_before);
    code_number(codec, &outfall->before);
}

static void code_gauge(struct codec *codec, struct gauge *gauge)
{
    code_flag(codec, &gauge->ever);
    code_time(codec, &gauge->at);
    code_number(codec, &gauge->mm);
    code_time(codec, &gauge->burst_at);
    code_number(codec, &gauge->burst_mm);
    code_bits(codec, &gauge->minutes);
    code_number(codec, &gauge->depth_mm);
    code_number(codec, &gauge->moment);
    code_number(codec, &gauge->gap_mm);
    code_number(codec, &gauge->refused_mm);
    code_number(codec, &gauge->lost_mm);
    code_number(codec, &gauge->fastest_mm_min);
    code_count(codec, &gauge->resets);
}

static void code_sums(struct codec *codec, struct sums *sums)
{
    double *const numbers[] = {
        &sums->gross,   &sums->outflow,  &sums->base,      &sums->below,
        &sums->reverse, &sums->blind,    &sums->base_half, &sums->gap,
        &sums->flow_ms, &sums->blind_ms, &sums->gap_ms,    &sums->peak,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        code_number(codec, numbers[i]);
    code_count(codec, &sums->base_kinds);
    code_time(codec, &sums->minutes);
    code_time(codec, &sums->flow_minutes);
    for (size_t i = 0; i < CATCHMENT_GAUGES_MAX; i++)
        code_time(codec, &sums->gauge_minutes[i]);
    code_flag(codec, &sums->has_peak);
    code_time(codec, &sums->peak_at);
}

static void code_event(struct codec *codec, struct runoff *runoff)
{
    code_time(codec, &runoff->now);
    code_time(codec, &runoff->wall_offset);
    code_flag(codec, &runoff->wall_is_true);
    code_flag(codec, &runoff->event);
    code_flag(codec, &runoff->quiet);
    code_flag(codec, &runoff->clock_lost);
    code_flag(codec, &runoff->has_rain);
    code_time(codec, &runoff->rain_at);
    code_flag(codec, &runoff->has_dry);
    code_time(codec, &runoff->dry_since);
    code_time(codec, &runoff->start);
    code_time(codec, &runoff->end);
    code_time(codec, &runoff->head);
    code_sums(codec, &runoff->main);
    code_sums(codec, &runoff->after);
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++)
        code_gauge(codec, &runoff->gauges[i]);
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++)
        code_outfall(codec, &runoff->outfalls[i]);
}

/* ---- whose it is ---- */

/* FNV-1a. */
static uint64_t hash_name(uint64_t hash, const char *name)
{
    for (const char *at = name; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t hash_outfall(const struct catchment_outfall *outfall)
{
    return hash_name(UINT64_C(0xcbf29ce484222325), outfall->name);
}

static uint64_t hash_number(uint64_t hash, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (hash ^ bits) * UINT64_C(0x100000001b3);
}

/* An event goes on only with the same sensors in the same order, which count in the same unit. */
static uint64_t hash_sensors(const struct catchment *catchment)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < catchment->gauge_count; i++) {
        hash = hash_name(hash, catchment->gauges[i].name);
        hash = hash_number(hash, catchment->gauges[i].to_mm);
    }
    hash = hash_name(hash, "outfalls");
    for (size_t i = 0; i < catchment->outfall_count; i++)
        hash = hash_name(hash, catchment->outfalls[i].name);
    return hash;
}

/* ---- save and load ---- */

size_t runoff_save(const struct runoff *runoff, uint8_t *out, size_t capacity)
{
    const struct catchment *catchment = runoff->catchment;
    struct codec codec = {.out = out, .size = capacity};
    struct runoff copy = *runoff; /* the walk goes over what may be written to */
    code_mark(&codec, MAGIC);
    code_mark(&codec, VERSION);
    code_mark(&codec, catchment->outfall_count);
    for (size_t i = 0; i < catchment->outfall_count; i++) {
        code_mark(&codec, hash_outfall(&catchment->outfalls[i]));
        code_pattern(&codec, &copy.outfalls[i]);
    }
    code_mark(&codec, hash_sensors(catchment));
    code_event(&codec, &copy);
    return codec.bad ? 0 : codec.at;
}

/* An outfall that is gone is read and forgotten. */
static void load_pattern(struct codec *codec, struct runoff *runoff)
{
    struct outfall read = {0};
    uint64_t hash = 0;
    code_bits(codec, &hash);
    code_pattern(codec, &read);
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++) {
        if (hash_outfall(&runoff->catchment->outfalls[i]) == hash)
            runoff->outfalls[i] = read;
    }
}

static bool patterns_are_sane(const struct runoff *runoff)
{
    bool sane = true;
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++) {
        const struct outfall *outfall = &runoff->outfalls[i];
        for (size_t h = 0; h < RUNOFF_HOURS; h++)
            sane = sane && outfall->hours[h].spread >= 0 && outfall->hours[h].blind >= 0;
        sane = sane && outfall->dry.ms >= 0 && outfall->dry.blind_ms >= 0;
    }
    return sane;
}

static bool sums_are_sane(const struct sums *sums)
{
    bool sane = sums->minutes >= 0 && sums->flow_minutes >= 0 &&
                sums->flow_minutes <= sums->minutes && sums->reverse >= 0 && sums->blind >= 0 &&
                sums->base_half >= 0 && sums->gap >= 0 && sums->flow_ms >= 0;
    for (size_t i = 0; i < CATCHMENT_GAUGES_MAX; i++)
        sane = sane && sums->gauge_minutes[i] >= 0 && sums->gauge_minutes[i] <= sums->minutes;
    return sane;
}

static bool event_is_sane(const struct runoff *runoff)
{
    int64_t now = runoff->now;
    double latest = (double)(now - runoff->start) * (1 + 1e-9); /* the centre of rain lies before */
    bool sane = runoff->start <= runoff->end && runoff->end <= now && runoff->rain_at <= now &&
                runoff->dry_since <= now && runoff->head >= 0 &&
                runoff->head <= (now - runoff->start) / RUNOFF_MINUTE_MS &&
                (!runoff->event || runoff->has_rain) && sums_are_sane(&runoff->main) &&
                sums_are_sane(&runoff->after) &&
                runoff->main.minutes + runoff->after.minutes <= runoff->head + 1;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++) {
        const struct gauge *gauge = &runoff->gauges[i];
        sane = sane && gauge->at <= now && gauge->burst_at <= now && gauge->mm >= 0 &&
               gauge->depth_mm >= 0 && gauge->refused_mm >= 0 && gauge->lost_mm >= 0 &&
               gauge->gap_mm >= 0 && gauge->moment >= 0 &&
               gauge->moment <= gauge->depth_mm * latest;
    }
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++)
        sane = sane && runoff->outfalls[i].at <= now;
    return sane;
}

bool runoff_load(struct runoff *runoff, const uint8_t *bytes, size_t length)
{
    struct codec codec = {.in = bytes, .size = length};
    struct runoff *read = runoff + 1;
    uint64_t outfalls = 0, sensors = 0;
    *read = (struct runoff){.catchment = runoff->catchment};
    code_mark(&codec, MAGIC);
    code_mark(&codec, VERSION);
    code_bits(&codec, &outfalls);
    if (codec.bad || outfalls > CATCHMENT_OUTFALLS_MAX)
        return false;
    for (uint64_t i = 0; i < outfalls; i++)
        load_pattern(&codec, read);
    code_bits(&codec, &sensors);
    if (codec.bad || !patterns_are_sane(read))
        return false;
    if (sensors == hash_sensors(runoff->catchment)) {
        code_event(&codec, read);
        if (codec.bad || codec.at != length || !event_is_sane(read))
            return false;
        read->resumed = true;
    }
    *runoff = *read;
    return true;
}

/* What a simulated device shows: its points' values as a function of a counter, as registers.
 *
 * Pure once built and told its scenario; called by the simulator's only thread and by its tests.
 * Owns one walk a point and the patches that keep unit, decimals and status registers readable and
 * hold the fingerprint of the model. What is published is worked out here from the profile's
 * formula, not by drivers/decode.c, so that the two check each other. Never shows a value that a
 * gateway would not take as GOOD. */
#include "drivers/sim/sim_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/encode.h"
#include "drivers/sim/sim_span.h"

/* Enough to tell readings apart, and few enough that index x stride stays in 64 bits. */
#define DISTINCT_MAX (1u << 24)
#define FLOAT_GRID   65536.0

/* With fewer values than this a unit or decimals code shows too little of its point. */
#define ENOUGH 1000

/* One point's values; see the formula in sim_value.h. */
struct walk {
    double first, step;
    uint32_t count, start, stride;
    double factor, divisor; /* of the unit and decimals registers */
    bool nothing_valid;     /* no raw value reads as GOOD */
    size_t leader;          /* the point that the same register is simulated for; often itself */
};

struct sim_value {
    const struct settings_device *device;
    const struct sim_scenario *scenario; /* or NULL */
    uint32_t device_index;               /* for the scenario */
    struct walk *walks;                  /* one a point */
    struct encode_patch *patches;
    enum function *patch_functions;
    size_t patch_count;
};

static bool is_float_type(enum register_type type)
{
    return type == REGISTER_F32 || type == REGISTER_F64;
}

static uint16_t mask_of(const struct profile_point *point)
{
    return profile_type_registers(point->type) == 1 && point->type != REGISTER_BIT ? point->mask
                                                                                   : 0xffff;
}

static double published(const struct settings_device *device, size_t index, const struct walk *walk,
                        double raw)
{
    const struct profile_point *point = &device->profile->points[index];
    double value = (raw * point->scale + point->offset) * walk->factor / walk->divisor;
    return point->below_mount ? device->points[index].mount_height - value : value;
}

static double raw_of(const struct settings_device *device, size_t index, const struct walk *walk,
                     double value)
{
    const struct profile_point *point = &device->profile->points[index];
    if (point->below_mount)
        value = device->points[index].mount_height - value;
    return (value * walk->divisor / walk->factor - point->offset) / point->scale;
}

static void clip(struct sim_span *span, double a, double b)
{
    span->low = fmax(span->low, fmin(a, b));
    span->high = fmin(span->high, fmax(a, b));
}

/* The published values that are valid, as raw values. */
static void clip_to_range(struct sim_span *span, const struct settings_device *device, size_t index,
                          const struct walk *walk)
{
    const struct profile_point *point = &device->profile->points[index];
    double limit = SIM_SPAN_STEPS / pow(10, point->decimals);
    clip(span, raw_of(device, index, walk, -limit), raw_of(device, index, walk, limit));
    const struct settings_point *settings = &device->points[index];
    if (settings->has_range) {
        clip(span, raw_of(device, index, walk, settings->min),
             raw_of(device, index, walk, settings->max));
    }
    if (point->wrap > 0) {
        /* The wrap itself is shown as 0. */
        double last = point->wrap - pow(10, -(double)point->decimals);
        clip(span, raw_of(device, index, walk, 0), raw_of(device, index, walk, last));
    }
}

/* Leaves the larger side of an invalid mark. */
static void clip_to_valid(struct sim_span *span, const struct profile_point *point, double grain)
{
    for (size_t i = 0; i < point->invalid_count; i++) {
        double mark = sim_span_mark(point, point->invalid[i]);
        if (!(mark >= span->low && mark <= span->high))
            continue;
        if (mark - span->low > span->high - mark) {
            span->high = mark - grain;
        } else {
            span->low = mark + grain;
        }
    }
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    }
    return hash;
}

/* The distance of two raw values that the register tells apart; 0 for floats. */
static double grain_of(enum register_type type)
{
    if (is_float_type(type))
        return 0;
    return type == REGISTER_BYTE_FRACTION ? 0.1 : 1;
}

/* The distance of two raw values whose published values still differ. */
static double step_of(const struct profile_point *point, const struct walk *walk,
                      const struct sim_span *span)
{
    double gain = fabs(point->scale * walk->factor / walk->divisor);
    double grain = grain_of(point->type);
    double step = point->is_float ? (span->high - span->low) / FLOAT_GRID
                                  : pow(10, -(double)point->decimals) / gain;
    double largest = fmax(fabs(span->low), fabs(span->high));
    double ulp = point->type == REGISTER_F32 || point->is_float ? ldexp(largest, -22) : 0;
    if (step < ulp && step > 0)
        step *= ceil(ulp / step);
    return grain > 0 ? fmax(grain, ceil(step / grain - 1e-9) * grain) : step;
}

/* Lays `first` and `count` on the grid of `step`, so that no published value lies half-way between
 * two decimals; where the grid has nothing to offer, on a single value. */
static void lay_grid(struct walk *walk, double grain, const struct sim_span *span)
{
    /* An end of the span may be off by a rounding, but never by a raw value: it may be a mark. */
    double slack = grain > 0 ? fmin(1e-6, 0.1 * grain / walk->step) : 1e-6;
    walk->first = ceil(span->low / walk->step - slack) * walk->step;
    double count = floor((span->high - walk->first) / walk->step + slack) + 1;
    walk->count = count >= 1 ? (uint32_t)count : 1;
    if (count < 1) {
        walk->first = grain > 0 ? ceil(span->low / grain - 1e-6) * grain : span->low;
        walk->nothing_valid = walk->first > span->high + 1e-6 * grain;
    }
}

static void walk_span(struct walk *walk, const struct profile_point *point,
                      const struct sim_span *span)
{
    double step = step_of(point, walk, span);
    walk->step = step;
    walk->first = span->low;
    walk->count = 1;
    walk->stride = 0;
    walk->nothing_valid = !(span->high >= span->low);
    if (!(step > 0) || walk->nothing_valid)
        return;
    double count = floor((span->high - span->low) / step) + 1;
    if (count > DISTINCT_MAX)
        walk->step = step * ceil(count / DISTINCT_MAX);
    lay_grid(walk, grain_of(point->type), span);
    if (walk->count == 1)
        return;
    walk->stride = 1;
    if (point->wrap == 0 && walk->count > 4) {
        walk->stride = (uint32_t)((double)walk->count * 0.381966);
        while (gcd(walk->stride, walk->count) != 1)
            walk->stride++;
    }
}

/* The bits that the selectors put into one register; *mask says which of them. */
static uint16_t patched(const struct sim_value *value, enum function function, uint16_t address,
                        uint16_t *mask)
{
    uint16_t bits = 0;
    *mask = 0;
    for (size_t i = 0; i < value->patch_count; i++) {
        const struct encode_patch *patch = &value->patches[i];
        if (value->patch_functions[i] == function && patch->address == address) {
            bits |= patch->bits;
            *mask |= patch->mask;
        }
    }
    return bits;
}

static uint32_t selected(const struct sim_value *value, const struct profile_point *point,
                         const struct profile_selector *selector)
{
    uint16_t mask;
    uint16_t bits = patched(value, point->function, selector->address, &mask);
    return selector->mask == 0 ? 0
                               : (uint32_t)(bits & selector->mask) >> __builtin_ctz(selector->mask);
}

static void read_selectors(const struct sim_value *value, size_t index)
{
    const struct profile_point *point = &value->device->profile->points[index];
    struct walk *walk = &value->walks[index];
    walk->factor = 1;
    walk->divisor = 1;
    if (point->unit_from.present) {
        uint32_t code = selected(value, point, &point->unit_from);
        for (size_t i = 0; i < point->unit_from.code_count; i++) {
            if (point->unit_from.codes[i].code == code)
                walk->factor = point->unit_from.codes[i].factor;
        }
    }
    if (point->decimals_from.present) {
        uint32_t code = selected(value, point, &point->decimals_from);
        uint32_t decimals = code;
        for (size_t i = 0; i < point->decimals_from.code_count; i++) {
            if (point->decimals_from.codes[i].code == code)
                decimals = point->decimals_from.codes[i].decimals;
        }
        walk->divisor = pow(10, decimals);
    }
}

/* Bits that somebody else has put there already stay. */
static void add_patch(struct sim_value *value, enum function function, struct encode_patch patch)
{
    uint16_t taken;
    patched(value, function, patch.address, &taken);
    patch.mask &= (uint16_t)~taken;
    patch.bits &= patch.mask;
    if (patch.mask == 0)
        return;
    value->patch_functions[value->patch_count] = function;
    value->patches[value->patch_count++] = patch;
}

/* Selector registers that two points share get the code that the first of them asks for. */
static void collect_patches(struct sim_value *value, uint32_t variant)
{
    value->patch_count = 0;
    const struct profile *profile = value->device->profile;
    for (size_t i = 0; i < profile->point_count; i++) {
        struct encode_patch patches[ENCODE_PATCHES];
        size_t count = encode_selectors(&profile->points[i], variant, patches);
        for (size_t j = 0; j < count; j++)
            add_patch(value, profile->points[i].function, patches[j]);
    }
    for (size_t i = 0; i < profile->fingerprint_count; i++) {
        const struct profile_mark *mark = &profile->fingerprint[i];
        unsigned int content = mark->is_unit ? value->device->unit : mark->min;
        const struct encode_patch patch = {mark->address, mark->mask,
                                           (uint16_t)(content << __builtin_ctz(mark->mask))};
        add_patch(value, mark->function, patch);
    }
}

static bool same_register(const struct profile_point *a, const struct profile_point *b)
{
    return a->function == b->function && a->address == b->address && a->type == b->type &&
           a->order == b->order && mask_of(a) == mask_of(b);
}

/* A point that reads a selector's own bits stands still: they hold the good code. */
static bool pin(const struct sim_value *value, size_t index)
{
    const struct profile_point *point = &value->device->profile->points[index];
    struct walk *walk = &value->walks[index];
    uint16_t mask, own = mask_of(point);
    uint16_t bits = patched(value, point->function, point->address, &mask);
    if (profile_type_registers(point->type) != 1 || (mask & own) == 0)
        return false;
    walk->first = own == 0 ? 0 : (bits & own) >> __builtin_ctz(own);
    walk->step = 0;
    walk->count = 1;
    walk->stride = 0;
    return true;
}

static void plan_walk(struct sim_value *value, size_t index)
{
    const struct settings_device *device = value->device;
    const struct profile_point *points = device->profile->points;
    struct walk *walk = &value->walks[index];
    for (size_t i = 0; i < index; i++) {
        if (same_register(&points[i], &points[index])) {
            walk->leader = i;
            return;
        }
    }
    walk->leader = index;
    if (pin(value, index))
        return;
    struct sim_span span = sim_span_of_type(&points[index]);
    for (size_t i = index; i < device->profile->point_count; i++) {
        if (same_register(&points[i], &points[index])) {
            clip_to_range(&span, device, i, &value->walks[i]);
            double grain = grain_of(points[i].type);
            double step = step_of(&points[i], &value->walks[i], &span);
            clip_to_valid(&span, &points[i], grain > 0 ? grain : step);
        }
    }
    walk_span(walk, &points[index], &span);
    walk->start = (hash_text(device->name) + (uint32_t)index * 2654435761u) % walk->count;
}

static void plan_all(struct sim_value *value, uint32_t variant)
{
    size_t points = value->device->profile->point_count;
    memset(value->walks, 0, points * sizeof *value->walks);
    collect_patches(value, variant);
    for (size_t i = 0; i < points; i++)
        read_selectors(value, i);
    for (size_t i = 0; i < points; i++)
        plan_walk(value, i);
}

static bool shows_enough(const struct sim_value *value)
{
    const struct profile *profile = value->device->profile;
    for (size_t i = 0; i < profile->point_count; i++) {
        if (encode_variants(&profile->points[i]) > 1 && sim_value_distinct(value, i) < ENOUGH)
            return false;
    }
    return true;
}

/* Sensors of one model are set up in different units: the device's name says which this one has,
 * or the next one in which its points still move. */
static void choose_variant(struct sim_value *value)
{
    const struct settings_device *device = value->device;
    uint32_t variants = 1;
    for (size_t i = 0; i < device->profile->point_count; i++) {
        uint32_t own = encode_variants(&device->profile->points[i]);
        variants = own > variants ? own : variants;
    }
    uint32_t first = hash_text(device->name) % variants;
    for (uint32_t i = 0; i < variants; i++) {
        plan_all(value, (first + i) % variants);
        if (shows_enough(value))
            return;
    }
    plan_all(value, ENCODE_OWN);
}

struct sim_value *sim_value_new(const struct settings_device *device)
{
    size_t points = device->profile->point_count;
    struct sim_value *value = calloc(1, sizeof *value);
    if (value == NULL)
        return NULL;
    value->device = device;
    value->walks = calloc(points + 1, sizeof *value->walks);
    size_t patches = points * ENCODE_PATCHES + device->profile->fingerprint_count + 1;
    value->patches = calloc(patches, sizeof *value->patches);
    value->patch_functions = calloc(patches, sizeof *value->patch_functions);
    if (value->walks == NULL || value->patches == NULL || value->patch_functions == NULL) {
        sim_value_free(value);
        return NULL;
    }
    choose_variant(value);
    return value;
}

void sim_value_free(struct sim_value *value)
{
    if (value == NULL)
        return;
    free(value->walks);
    free(value->patches);
    free(value->patch_functions);
    free(value);
}

static bool plays(const struct sim_value *value)
{
    double told;
    for (uint32_t i = 0; i < value->device->profile->point_count; i++) {
        if (sim_scenario_value(value->scenario, value->device_index, i, 0, &told)) {
            return true;
        }
    }
    return false;
}

void sim_value_follow(struct sim_value *value, const struct sim_scenario *scenario, uint32_t device)
{
    value->scenario = scenario;
    value->device_index = device;
    if (scenario != NULL && plays(value))
        plan_all(value, ENCODE_OWN);
}

const struct settings_device *sim_value_device(const struct sim_value *value)
{
    return value->device;
}

static bool overlaps(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
    return a < b + b_count && b < a + a_count;
}

bool sim_value_covers(const struct sim_value *value, enum function function, uint16_t address,
                      uint16_t count)
{
    const struct profile *profile = value->device->profile;
    uint32_t base = value->device->base;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        if (point->function == function &&
            overlaps(base + point->address, profile_type_registers(point->type), address, count)) {
            return true;
        }
    }
    for (size_t i = 0; i < value->patch_count; i++) {
        if (value->patch_functions[i] == function &&
            overlaps(base + value->patches[i].address, 1, address, count)) {
            return true;
        }
    }
    return false;
}

static bool within(uint32_t inner, uint32_t inner_count, uint32_t outer, uint32_t outer_count)
{
    return inner >= outer && inner + inner_count <= outer + outer_count;
}

static bool selector_within(const struct profile_selector *selector, uint32_t base,
                            uint32_t address, uint32_t count)
{
    return !selector->present || within(base + selector->address, 1, address, count);
}

bool sim_value_contains(const struct sim_value *value, size_t point, enum function function,
                        uint16_t address, uint16_t count)
{
    const struct profile_point *p = &value->device->profile->points[point];
    uint32_t base = value->device->base;
    return p->function == function &&
           within(base + p->address, profile_type_registers(p->type), address, count) &&
           selector_within(&p->unit_from, base, address, count) &&
           selector_within(&p->decimals_from, base, address, count) &&
           selector_within(&p->status_from, base, address, count);
}

/* What the register can hold is what is published. */
static double held(const struct profile_point *point, double raw)
{
    struct sim_span span = sim_span_of_type(point);
    switch (point->type) {
    case REGISTER_F32:
        return (double)(float)raw;
    case REGISTER_F64:
        return raw;
    case REGISTER_BYTE_FRACTION:
        return round(fmin(fmax(raw, span.low), span.high) * 10) / 10;
    default:
        return round(fmin(fmax(raw, span.low), span.high));
    }
}

/* What the scenario says of a register: of its points the first that plays a part. */
static bool told_raw(const struct sim_value *value, size_t leader, int64_t since_ms, double *raw)
{
    size_t count = value->scenario != NULL ? value->device->profile->point_count : 0;
    for (size_t i = leader; i < count; i++) {
        double told;
        if (value->walks[i].leader == leader &&
            sim_scenario_value(value->scenario, value->device_index, (uint32_t)i, since_ms,
                               &told)) {
            *raw = raw_of(value->device, i, &value->walks[i], told);
            return true;
        }
    }
    return false;
}

static double raw_at(const struct sim_value *value, size_t point, struct sim_moment moment)
{
    size_t leader = value->walks[point].leader;
    const struct walk *walk = &value->walks[leader];
    uint64_t index = (walk->start + (uint64_t)moment.counter * walk->stride) % walk->count;
    double raw = walk->first + walk->step * (double)index;
    (void)told_raw(value, leader, moment.since_ms, &raw);
    return held(&value->device->profile->points[leader], raw);
}

void sim_value_fill(const struct sim_value *value, enum function function, uint16_t address,
                    uint16_t count, struct sim_moment moment, uint16_t *registers)
{
    const struct profile *profile = value->device->profile;
    uint32_t base = value->device->base;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        uint32_t at = base + point->address;
        uint16_t width = profile_type_registers(point->type);
        if (point->function != function || value->walks[i].leader != i ||
            !overlaps(at, width, address, count)) {
            continue;
        }
        /* A request may cut a value in two: encoded whole, copied in part. */
        uint16_t words[4] = {0};
        bool shared = width == 1 && at >= address;
        if (shared)
            words[0] = registers[at - address];
        encode_raw(point, raw_at(value, i, moment), words);
        for (uint32_t j = 0; j < width; j++) {
            if (at + j >= address && at + j < (uint32_t)address + count)
                registers[at + j - address] = words[j];
        }
    }
    for (size_t i = 0; i < value->patch_count; i++) {
        const struct encode_patch *patch = &value->patches[i];
        uint32_t at = base + patch->address;
        if (value->patch_functions[i] == function && overlaps(at, 1, address, count)) {
            uint16_t *word = &registers[at - address];
            *word = (uint16_t)((*word & ~patch->mask) | patch->bits);
        }
    }
}

float sim_value_real(const struct sim_value *value, size_t point, struct sim_moment moment)
{
    return (float)published(value->device, point, &value->walks[point],
                            raw_at(value, point, moment));
}

int64_t sim_value_steps(const struct sim_value *value, size_t point, struct sim_moment moment)
{
    double shown =
        published(value->device, point, &value->walks[point], raw_at(value, point, moment));
    return llround(shown * pow(10, value->device->profile->points[point].decimals));
}

uint32_t sim_value_distinct(const struct sim_value *value, size_t point)
{
    const struct walk *walk = &value->walks[value->walks[point].leader];
    return walk->nothing_valid ? 0 : walk->count;
}

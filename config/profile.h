/* A sensor profile: what stands in which register of one model, as typed data.
 *
 * One file config/profiles/NAME.yaml is one struct profile. Reading the registers is drivers/, this
 * is only the table. A profile never changes once loaded. The keys are the fields below; those that
 * take more than a word:
 *
 *     invalid:       [0x7fff, -9999]          raw values; negative ones as the type's bits
 *     mask:          0x0fff                   bits side by side
 *     wrap:          6553.6
 *     unit_from:     { address: 2, mask: 0xf000, units: { 0: MPa, 1: kPa } }
 *     lel:           5                        %VOL at 100 %LEL, where a unit takes it
 *     decimals_from: { address: 3 }           or with mask and codes: { 0: 0, 4: 1, 8: 2, 12: 3 }
 *     status_from:   { address: 5, mask: 0x00ff, codes: { 0: warmup, 1: good, 3: sensor_fault } }
 *     timeout:       2s                       a slow sensor; a line's own, when longer, stays
 *     retries:       0                        instead of the line's
 *     fingerprint:   - { function: holding, address: 8, mask: 0xff00, equals: 11 }
 *                    - { function: holding, address: 2, equals: unit }      or min: and max:
 *     vectors:       - { request: "01 03 ...", response: "01 03 ...",
 *                        expect: { tilt_x: 1.25, tilt_y: sensor_fault } }
 *
 * Types are u16 i16 u32 i32 u64 i64 f32 f64 bit bcd16 bcd32 digit_bcd16 byte_fraction. `unit` and
 * the titles may be left out: they are the quantity's. f64 needs `decimals`. */
#ifndef LIFELINE_PROFILE_H
#define LIFELINE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostics.h"
#include "proto/names.h"

/* The Modbus function that reads it. */
enum function {
    FUNCTION_COIL = 1,
    FUNCTION_DISCRETE = 2,
    FUNCTION_HOLDING = 3,
    FUNCTION_INPUT = 4,
};

enum register_type {
    REGISTER_U16,
    REGISTER_I16,
    REGISTER_U32,
    REGISTER_I32,
    REGISTER_U64,
    REGISTER_I64,
    REGISTER_F32,
    REGISTER_F64,
    REGISTER_BIT,         /* one coil or discrete input */
    REGISTER_BCD16,       /* four BCD digits */
    REGISTER_BCD32,       /* eight BCD digits */
    REGISTER_DIGIT_BCD16, /* high byte a metre digit 0..2, low byte BCD centimetres: 0x0123 = 123 */
    REGISTER_BYTE_FRACTION, /* high byte integer part, low byte tenths: 0x1409 = 20.9 */
};

/* Where the bytes of a value stand on the wire, A the most significant. 64 bits: words likewise. */
enum register_order { ORDER_ABCD, ORDER_CDAB, ORDER_BADC, ORDER_DCBA };

enum profile_status { PROFILE_VERIFIED, PROFILE_BETA };

struct serial {
    uint32_t baud;
    uint8_t data_bits; /* 7 or 8 */
    char parity;       /* N E O */
    uint8_t stop_bits; /* 1 or 2 */
};

/* What a sensor class knows about a quantity; the tables are drivers/class_*.c. */
struct quantity {
    const char *name;
    const char *title_zh;
    const char *title_en;
    const char *unit;
    double min, max; /* outside = OUT_OF_RANGE; both 0 = no range */
};

/* One code of a status, unit or decimals register. */
struct profile_code {
    uint32_t code;
    enum quality quality; /* status: what a value read beside this code is worth */
    double factor;        /* unit: multiplies a value of that unit into the point's unit */
    uint8_t decimals;     /* decimals: raw value is divided by 10^decimals */
};

/* Another register that says how to read this point's. Only the bits of mask count, shifted down to
 * bit 0; a code that is not in the table is QUALITY_INVALID. Same function as the point. */
struct profile_selector {
    bool present;
    uint16_t address;
    uint16_t mask;              /* 0xffff when not given */
    struct profile_code *codes; /* none for `decimals`: the register itself is the number 0..9 */
    size_t code_count;
};

/* value = (raw x scale + offset) x unit factor / 10^decimals register, and for below_mount
 * mount_height - that. */
struct profile_point {
    struct place place;
    char *name;
    char *quantity;
    char *title_zh, *title_en; /* the quantity's when not given; never NULL */
    char *unit;                /* UTF-8, "1" for none; the quantity's unit */
    enum function function;
    uint16_t address; /* on the wire, 0-based; the device's base is added */
    enum register_type type;
    enum register_order order;
    uint16_t mask; /* 16-bit types: bits that count, shifted down; 0xffff when not given */
    double scale, offset;
    bool is_float;     /* f32 without `decimals`: goes out as float */
    uint8_t decimals;  /* of the value sent: steps = value x 10^decimals */
    double min, max;   /* the range, both 0 = none; the quantity's when not given. See settings.h */
    bool own_range;    /* min and max stand in the profile */
    uint64_t *invalid; /* raw values (after mask) that mean "no value" */
    size_t invalid_count;
    struct profile_selector unit_from, decimals_from, status_from;
    double lel;       /* %VOL of the gas at 100 %LEL, for unit_from; 0 = not given */
    double wrap;      /* a counter falls back to 0 at this value; 0 = no counter */
    bool below_mount; /* the register is a distance down from the mounting point */
};

/* What a register of every sensor of this model says, so that `lifelinectl probe` can tell it from
 * others. */
struct profile_mark {
    struct place place;
    enum function function; /* holding or input */
    uint16_t address;       /* on the wire, 0-based; the device's base is added */
    uint16_t mask;          /* the bits that count, shifted down; 0xffff when not given */
    bool is_unit;           /* `equals: unit`: the register holds the sensor's own unit */
    uint16_t min, max;      /* otherwise; the same for `equals` */
};

struct profile_expect {
    uint32_t point; /* index */
    bool usable;    /* false: only the quality is expected */
    double value;
    enum quality quality;
};

/* A frame pair of the sensor's own documentation; CRC included. */
struct profile_vector {
    struct place place;
    uint8_t *request, *response; /* response may be absent (length 0) */
    size_t request_length, response_length;
    struct profile_expect *expect;
    size_t expect_count;
};

struct arena;

struct profile {
    struct arena *arena; /* holds the profile and all it points to */
    struct place place;
    uint64_t digest; /* of its file's text: another one is another profile */
    char *name;
    char *title_zh, *title_en;
    char *vendor, *source; /* "" when not given */
    enum sector sector;
    enum profile_status status;
    bool has_serial;
    struct serial serial;
    uint16_t max_registers; /* a request asks for no more; 125 when not given */
    uint32_t min_gap_ms;    /* silence the sensor wants before a request; 0 */
    uint32_t timeout_ms;    /* how long it may think, whatever its line's timeout; 0 = not given */
    bool has_retries;
    uint8_t retries; /* instead of the line's */
    uint8_t unit;    /* factory default unit; 1 when not given */
    struct profile_point *points;
    size_t point_count;
    struct profile_vector *vectors;
    size_t vector_count;
    struct profile_mark *fingerprint; /* all of it must fit */
    size_t fingerprint_count;
};

/* Finds a quantity of a sector's class; NULL when the class has none of that name. `raw` (unit "1")
 * belongs to every class. */
typedef const struct quantity *(*quantity_lookup)(enum sector sector, const char *name);

/* NULL when the file has an error; every one of them is in `out` (with warnings, if any). */
struct profile *profile_load(const char *path, quantity_lookup lookup, struct diagnostics *out);

/* The same for text in memory; the source's name ends in the profile's name and .yaml. */
struct profile *profile_parse(const struct source *source, quantity_lookup lookup,
                              struct diagnostics *out);
void profile_free(struct profile *profile);

/* Index of the point of that name, or -1. */
int profile_point_index(const struct profile *profile, const char *name);

/* The registers from `first` to before `end` that a point needs: its own and its selectors', which
 * must all come with one answer. Without the device's base. */
void profile_point_span(const struct profile_point *point, uint32_t *first, uint32_t *end);

/* True when the function reads single bits, not registers. */
static inline bool profile_is_bits(enum function function)
{
    return function == FUNCTION_COIL || function == FUNCTION_DISCRETE;
}

/* Registers (or bits) that a value of this type fills. */
uint16_t profile_type_registers(enum register_type type);

#endif

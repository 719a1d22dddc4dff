/* Who is on a line, at what baud, and what it is: the questions of `lifelinectl probe`.
 *
 *     steps ──> presence ──> twin? ──> which profiles fit
 *
 * Everything is asked through one callback, so that it is the same whether the daemon lends its
 * line or the command opens it itself. Only reads are asked. Blocks as long as the callback does;
 * owns no line. */
#ifndef LIFELINE_PROBE_H
#define LIFELINE_PROBE_H

#include "drivers/plan.h"
#include "drivers/transport.h"
#include "proto/value.h"

enum { PROBE_REGISTERS_MAX = 125, PROBE_FRAME_MAX = 260, PROBE_HEARD_MAX = 512 };

struct probe_question {
    struct transport_request request; /* timeout_ms 0 = the line's */
    struct serial serial;             /* baud 0 = the line's own */
    uint32_t listen_ms;               /* after the answer, for a second one */
};

struct probe_answer {
    enum outcome outcome;
    uint8_t exception;
    uint16_t registers[PROBE_REGISTERS_MAX];
    int64_t round_trip_us;
    uint8_t frame[PROBE_FRAME_MAX]; /* as it came, CRC or MBAP header included */
    size_t frame_length;
    uint8_t heard[PROBE_HEARD_MAX]; /* what came in listen_ms */
    size_t heard_length;
    char why[200];
};

/* Asks one question and waits for what comes of it. False: no more questions, the line is gone or
 * somebody has had enough. */
typedef bool (*probe_ask)(void *context, const struct probe_question *question,
                          struct probe_answer *answer);

/* The shipped models. */
struct probe_catalogue {
    struct profile **profiles; /* by name */
    size_t count;
    struct diagnostics *diagnostics; /* of those that cannot be used */
};

/* Every NAME.yaml of the folders; of two with one name the first. False without memory. */
bool probe_catalogue_load(struct probe_catalogue *catalogue, const char *const *dirs, size_t count)
    __attribute__((warn_unused_result));
void probe_catalogue_free(struct probe_catalogue *catalogue);
const struct profile *probe_catalogue_find(const struct probe_catalogue *catalogue,
                                           const char *name);

/* ---- a scan ---- */

struct probe_step {
    struct serial serial; /* baud 0 on a line without a serial port */
    uint8_t unit;
    bool early; /* a likely unit: looked at longer, and also for input registers */
};

/* All units 1 to 247 of a line at all usual serial settings, the likely ones first: units 1 to 10
 * and the profiles' factory units at every setting, then the rest. NULL without memory; free() it.
 */
struct probe_step *probe_steps(const struct settings_line *line,
                               const struct probe_catalogue *catalogue, size_t *count);

/* How long to wait for any sign of life. */
uint32_t probe_patience_ms(const struct settings_line *line, bool early);

/* How long it takes when nobody answers. */
int64_t probe_steps_ms(const struct settings_line *line, const struct probe_step *steps,
                       size_t count);

/* ---- a unit ---- */

struct probe {
    probe_ask ask;
    void *context;
    const struct settings_line *line;
    const struct probe_catalogue *catalogue;
};

enum probe_presence {
    PROBE_SILENT = 0,
    PROBE_GARBLED, /* something comes, but never a right frame */
    PROBE_THERE,   /* any right answer, an exception too */
};

struct probe_unit {
    uint8_t unit;
    struct serial serial;
    enum probe_presence presence;
    bool twin;             /* a second answer came right behind the first */
    uint32_t garbled;      /* answers that were no right frames */
    int64_t round_trip_us; /* of the first right answer */
};

/* Is there somebody, and is it one? False when the callback says no more; then `out` is whatever
 * was found until then. */
bool probe_presence(const struct probe *probe, const struct probe_step *step,
                    struct probe_unit *out) __attribute__((warn_unused_result));

enum probe_verdict {
    PROBE_UNFIT = 0,
    PROBE_FITS,       /* every register it has answers, and with sense */
    PROBE_RECOGNISED, /* its fingerprint too */
};

struct probe_reading {
    const struct profile *profile;
    enum probe_verdict verdict;
    uint32_t registers;   /* how many of them say so */
    struct value *values; /* [profile->point_count]; QUALITY_STALE where nothing came */
    char why[120];        /* PROBE_UNFIT: the first thing that speaks against it */
};

/* Reads all that a profile has, as a gateway would, with its fingerprint. False when the callback
 * says no more or without memory; release it with probe_reading_free() in either case. */
bool probe_read(const struct probe *probe, const struct probe_unit *unit, uint16_t base,
                const struct profile *profile, struct probe_reading *out)
    __attribute__((warn_unused_result));
void probe_reading_free(struct probe_reading *reading);

struct probe_models {
    struct probe_reading *fits; /* best first; more than one: they cannot be told apart */
    size_t count;
};

/* Which profiles fit the unit. A recognised one leaves out all that merely fit. False as above. */
bool probe_models(const struct probe *probe, struct probe_unit *unit, struct probe_models *out)
    __attribute__((warn_unused_result));
void probe_models_free(struct probe_models *models);

/* True when the bytes hold a whole RTU answer of the unit; *at is where it begins, *length how long
 * it is. */
bool probe_frame(const uint8_t *bytes, size_t size, uint8_t unit, size_t *at, size_t *length);

#endif

/* The watch: every rule of the settings on every point it is in force on, and the alarms they make.
 *
 *     sample ──> inputs (newest value, evidence) ──> judges, diagnoses ──> lives ──> emit(event)
 *
 * Pure: time comes in with every call, nothing is allocated after watch_new(), nothing blocks; what
 * happens is told to the caller through struct watch_sink. One thread. */
#ifndef LIFELINE_WATCH_H
#define LIFELINE_WATCH_H

#include "drivers/plan.h"
#include "gateway/flow/queue.h"
#include "gateway/store/store.h"
#include "proto/alarm.h"

struct watch;

/* What the watch wants done; called from within the functions below. */
struct watch_sink {
    /* A step of an alarm; the event and its strings last as long as the call. */
    void (*emit)(void *context, const struct alarm_event *event);
    /* Ask the device at its every_alarm, or no longer; once, and now. */
    void (*boost)(void *context, uint32_t device, bool on);
    void (*ask_again)(void *context, uint32_t device);
    void *context;
};

/* settings and plan must outlive it; ids are copied. NULL without memory. */
struct watch *watch_new(const struct settings *settings, const struct plan *plan,
                        const struct store_ids *ids);
void watch_free(struct watch *watch);

/* In the thread that will call all that follows, first of all. */
void watch_start(struct watch *watch, const struct watch_sink *sink, mono_time now);

struct watch_clock {
    mono_time mono;
    wall_time wall;
    enum clock_state state;
};

/* A sample of a block of the plan, values as pipeline_submit() takes them; it may turn a value's
 * quality into QUALITY_SPIKE. */
void watch_sample(struct watch *watch, uint32_t block, const struct sample *sample,
                  struct value *values, enum clock_state clock);

/* When watch_tick() has something to do. */
mono_time watch_due(const struct watch *watch);
void watch_tick(struct watch *watch, const struct watch_clock *clock);

/* Tells the sink again which devices are to be asked faster. */
void watch_repeat(const struct watch *watch);

/* ---- people ---- */

enum watch_answer { WATCH_DONE, WATCH_UNKNOWN, WATCH_ALREADY };

enum watch_answer watch_ack(struct watch *watch, const char *id, const char *actor,
                            const char *note, const struct watch_clock *clock);

/* A maintenance window: alarms of the device (UINT32_MAX: of all) are suppressed until then; one
 * that lies in the past ends it. */
void watch_maintain(struct watch *watch, uint32_t device, mono_time until,
                    const struct watch_clock *clock);

/* ---- over a restart and a reload ---- */

/* An open alarm as it was last stored, the oldest first: of two under one key the older one ends.
 * False when there is no such rule in that sector any more. */
bool watch_restore(struct watch *watch, const struct alarm_event *last,
                   const struct watch_clock *clock) __attribute__((warn_unused_result));

/* What was learned over hours and days, piece by piece: the next one at or after *at, which is 0 at
 * first; false: no more. The name is the key of the rule. load takes one back, after watch_start()
 * and before the first sample. */
enum { WATCH_MEMORY_MAX = 8192 };
bool watch_save(const struct watch *watch, size_t *at, const struct watch_clock *clock,
                const char **name, uint8_t out[WATCH_MEMORY_MAX], size_t *length);
void watch_load(struct watch *watch, const char *name, const uint8_t *bytes, size_t length,
                const struct watch_clock *clock);

/* Goes on where the watch of the settings before left off: what is under the same key and judges
 * alike goes on counting; alarms go on; those whose rule is gone end with a CLEARED. */
void watch_carry(struct watch *watch, struct watch *before, const struct watch_clock *clock);

/* ---- for status ---- */

/* Alarms that are up (not suppressed) in a sector; SECTOR_UNSPECIFIED: in all of them. Faults of
 * devices do not count. */
uint32_t watch_up(const struct watch *watch, enum sector sector);

#endif

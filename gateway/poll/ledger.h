/* What is known of a line and its devices: outcomes, counters, load. The line's thread writes,
 * anybody reads. */
#ifndef LIFELINE_LEDGER_H
#define LIFELINE_LEDGER_H

#include "gateway/poll/line.h"

struct ledger;

/* NULL without memory; settings and plan must outlive it. */
struct ledger *ledger_new(const struct settings *settings, const struct plan *plan, uint32_t line);
void ledger_free(struct ledger *ledger);

/* The line is as it was, but stands elsewhere in the settings and the plan now. In its thread. */
void ledger_rebind(struct ledger *ledger, const struct settings *settings, const struct plan *plan,
                   uint32_t line);

void ledger_line(struct ledger *ledger, struct line_status *out);

/* place: of the device among those of its line. */
bool ledger_device(struct ledger *ledger, uint32_t place, struct line_device_status *out);

/* Its index into the settings, UINT32_MAX when there is none. */
uint32_t ledger_index(struct ledger *ledger, uint32_t place);

/* ---- the line's thread ---- */

/* How a block was polled. */
struct ledger_block {
    uint32_t block; /* index into the plan */
    enum outcome outcome;
    uint8_t exception;
    enum quality quality; /* of its points, when not one answered */
    const char *why;
    const struct tally *requests; /* those made for it */
    const struct value *values;   /* NULL when no point of it answered */
    mono_time now;
};
void ledger_note(struct ledger *ledger, const struct ledger_block *polled);

/* A poll is over: what all its requests were, what else came for the unit, how long it held the
 * line, and whether the link is up. */
void ledger_poll(struct ledger *ledger, uint8_t unit, const struct tally *requests,
                 struct transport_noise noise, int64_t busy_ns, bool open, mono_time now);

/* How a device keeps its pace. */
struct ledger_pace {
    mono_time next;
    bool resting;
    uint64_t slipped;
    float stretch;
    uint16_t holes;
};
void ledger_pace(struct ledger *ledger, uint32_t device, const struct ledger_pace *pace);

#endif

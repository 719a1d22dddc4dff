/* The desk: what the watch says goes out to the lane and to the lines, what people say comes in. */
#ifndef LIFELINE_DESK_H
#define LIFELINE_DESK_H

#include "gateway/flow/view.h"
#include "gateway/lane.h"

struct desk;

/* Both must outlive it. NULL without memory. */
struct desk *desk_new(struct lane *lane, struct store *store);
void desk_free(struct desk *desk);

/* ---- any thread ---- */

/* Whoever asks the devices of a line: told, in the pipeline's thread, what their alarms want.
 * place: the device's among those of its line. */
struct desk_asker {
    void (*boost)(void *context, uint32_t place, uint32_t every_ms); /* 0: no longer */
    void (*ask_now)(void *context, uint32_t place);
    void *context;
};

/* number: of the line; NULL: it is gone. */
void desk_attach(struct desk *desk, uint16_t number, const struct desk_asker *asker);

/* What a person wants; done by the pipeline's thread at its next turn. */
enum desk_order_kind { DESK_ACK, DESK_MAINTAIN };

struct desk_order {
    enum desk_order_kind kind;
    char id[ALARM_ID_LENGTH + 1]; /* ACK: of the alarm */
    char actor[64], note[128];
    char device[64]; /* MAINTAIN: its name; "" = all */
    mono_time until; /* of the window; one that is past ends it */
};

/* False when too many wait. */
bool desk_order(struct desk *desk, const struct desk_order *order)
    __attribute__((warn_unused_result));

/* The index-th of the newest reports, the oldest first; its length, 0: there is none. */
size_t desk_report(struct desk *desk, size_t index, uint8_t *out, size_t capacity);

/* ---- the pipeline's thread ---- */

/* The first view: its watch begins with what is in force in the lane and with what the store
 * remembers, its catchments with that too. */
void desk_begin(struct desk *desk, const struct view *view);

/* Another view; its watch goes on where the one before left off. */
void desk_switch(struct desk *desk, const struct view *view, const struct view *before);

/* Orders that wait, and what is due by the clock; when that is. */
void desk_serve(struct desk *desk, const struct view *view);
mono_time desk_due(const struct desk *desk, const struct view *view);

/* The last word: all that is known goes to the store. */
void desk_end(struct desk *desk, const struct view *view);

#endif

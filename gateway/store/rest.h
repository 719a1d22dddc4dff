/* When a refused sector is tried again. Pure. */
#ifndef LIFELINE_REST_H
#define LIFELINE_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/clock.h"

/* A sector of which the broker refused something. */
struct rest {
    bool on;
    bool probing; /* one parcel is out to try */
    mono_time until;
    int64_t pause_ms;
};

bool rest_is_over(const struct rest *rest, mono_time now);
void rest_refused(struct rest *rest, mono_time now);
void rest_sent(struct rest *rest);
/* It did not go out after all: another may. */
void rest_unsent(struct rest *rest);
/* True when it had been on: the sector is back. */
bool rest_accepted(struct rest *rest);

#endif

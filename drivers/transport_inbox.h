/* What has come in since a request was sent, and the frame at its beginning: for transport.c. */
#ifndef LIFELINE_TRANSPORT_INBOX_H
#define LIFELINE_TRANSPORT_INBOX_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/clock.h"
#include "drivers/transport_frame.h"
#include "drivers/transport_link.h"

struct transport_inbox {
    uint8_t bytes[2 * FRAME_MAX_LENGTH];
    size_t length;
    size_t frame_length; /* of the whole frame at the beginning; 0 = there is none yet */
    mono_time last;      /* when the newest byte was read */
};

/* Forgets everything. */
void transport_inbox_clear(struct transport_inbox *inbox);

/* Adds what somebody else has read, as far as there is room. */
void transport_inbox_keep(struct transport_inbox *inbox, const uint8_t *bytes, size_t size);

/* Forgets the frame before and reads until the next one is whole. Its first byte may come until
 * `until`, the rest within body_ns of it. EXPIRED: length tells whether it was nothing or a part.
 * FAILED: errno says how. */
enum link_event transport_inbox_receive(struct transport_inbox *inbox,
                                        const struct transport_link *link, mono_time until,
                                        int64_t body_ns);

#endif

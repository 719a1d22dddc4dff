/* Collects the bytes of one frame from a line.
 *
 * Called by transport.c in the line's thread; owns a buffer inside the transport. Reads no more
 * often than the line wakes it, and ends at the frame's last byte: no silence is waited for, as a
 * USB adapter or a network makes pauses of its own inside a frame. Never judges what it reads. */
#include "drivers/transport_inbox.h"

#include <errno.h>
#include <string.h>

void transport_inbox_clear(struct transport_inbox *inbox)
{
    inbox->length = inbox->frame_length = 0;
}

void transport_inbox_keep(struct transport_inbox *inbox, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof inbox->bytes - inbox->length;
    size = size < room ? size : room;
    memcpy(inbox->bytes + inbox->length, bytes, size);
    inbox->length += size;
}

/* Over TCP the next frame may have come with the one before. */
static void drop_frame(struct transport_inbox *inbox)
{
    inbox->length -= inbox->frame_length;
    memmove(inbox->bytes, inbox->bytes + inbox->frame_length, inbox->length);
    inbox->frame_length = 0;
}

enum link_event transport_inbox_receive(struct transport_inbox *inbox,
                                        const struct transport_link *link, mono_time until,
                                        int64_t body_ns)
{
    bool tcp = link->kind == TRANSPORT_TCP;
    drop_frame(inbox);
    for (;;) {
        size_t whole = tcp ? transport_frame_tcp_length(inbox->bytes, inbox->length)
                           : transport_frame_rtu_length(inbox->bytes, inbox->length);
        if (whole <= inbox->length) {
            inbox->frame_length = whole;
            return LINK_EVENT_READY;
        }
        enum link_event event = transport_link_wait(link, until);
        if (event != LINK_EVENT_READY) {
            return event;
        }
        /* What follows an RTU frame is nobody's answer: it stays outside until it is thrown away.
         */
        size_t end = tcp ? sizeof inbox->bytes : whole;
        ssize_t got =
            transport_link_receive(link, inbox->bytes + inbox->length, end - inbox->length);
        if (got < 0) {
            return LINK_EVENT_FAILED;
        }
        if (got == 0 && link->kind == TRANSPORT_RTU) { /* readable, and nothing there */
            errno = EIO;
            return LINK_EVENT_FAILED;
        }
        inbox->last = clock_mono();
        if (inbox->length == 0) {
            until = (mono_time){inbox->last.ns + body_ns};
        }
        inbox->length += (size_t)got;
    }
}

/* DataBatch payloads by appending, so that nothing is encoded twice.
 *
 * Works on the caller's buffers, any thread. The header and gaps are packed by protobuf-c (they are
 * small and rare); rows are copied as the store kept them. Only the outermost field of a row is
 * looked at: that is what tells a row from a bare Segment. Never unpacks a segment. */
#include "proto/batch.h"

#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/varint.h"

enum tag {
    TAG_SEGMENTS = 8 * 8 + 2,
    TAG_GAPS = 9 * 8 + 2,
};

size_t batch_head(const char *gateway, uint64_t epoch, enum sector sector, uint8_t *out,
                  size_t capacity)
{
    Lifeline__V1__DataBatch batch = LIFELINE__V1__DATA_BATCH__INIT;
    batch.gateway = (char *)gateway; /* packing only reads it */
    batch.epoch = epoch;
    batch.sector = (Lifeline__V1__Sector)sector;
    return message_pack(&batch.base, out, capacity);
}

size_t batch_gap(const struct batch_gap *gap, uint8_t *out, size_t capacity)
{
    Lifeline__V1__Gap message = LIFELINE__V1__GAP__INIT;
    message.epoch = gap->epoch;
    message.sector = (Lifeline__V1__Sector)gap->sector;
    message.first_seq = gap->first_seq;
    message.last_seq = gap->last_seq;
    message.from_ms = gap->from_ms;
    message.to_ms = gap->to_ms;
    message.readings = gap->readings;
    message.reason = (Lifeline__V1__GapReason)gap->reason;
    /* As the only gap of a batch without a header: tag and length come with it. */
    Lifeline__V1__Gap *list[] = {&message};
    Lifeline__V1__DataBatch batch = LIFELINE__V1__DATA_BATCH__INIT;
    batch.n_gaps = 1;
    batch.gaps = list;
    return message_pack(&batch.base, out, capacity);
}

bool batch_rows_valid(const uint8_t *rows, size_t length)
{
    const uint8_t *at = rows;
    const uint8_t *end = rows + length;
    while (at < end) {
        uint64_t content;
        if (*at != TAG_SEGMENTS && *at != TAG_GAPS)
            return false;
        at++;
        if (!varint_get(&at, end, &content) || content > (uint64_t)(end - at))
            return false;
        at += content;
    }
    return length > 0;
}

size_t batch_append(const uint8_t *rows, size_t length, uint8_t *out, size_t used, size_t capacity)
{
    if (used > capacity || length > capacity - used || !batch_rows_valid(rows, length))
        return 0;
    memcpy(out + used, rows, length);
    return used + length;
}

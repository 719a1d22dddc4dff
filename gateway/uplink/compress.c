/* DataBatch.zstd: exactly one frame, its content size in the frame header, holding the rows as they
 * would stand in the batch.
 * Runs in its uplink's thread; owns one zstd context, made when first used and kept, with a window
 * that bounds it whatever the size of a batch, and one buffer as large as the largest result.
 * Never changes the payload it is given. */
#include "gateway/uplink/compress.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "proto/varint.h"

enum {
    TAG_ZSTD = 0x7a, /* DataBatch.zstd = 15 */
    LEVEL = 3,
    WINDOW_LOG = 17,     /* 128 KiB, the default max_payload */
    PREFIX_MAX = 1 + 10, /* tag and length */
};

struct compressor {
    ZSTD_CCtx *context;
    uint8_t *bytes;
    size_t capacity;
};

struct compressor *compress_new(void)
{
    return calloc(1, sizeof(struct compressor));
}

void compress_free(struct compressor *compressor)
{
    if (!compressor)
        return;
    ZSTD_freeCCtx(compressor->context);
    free(compressor->bytes);
    free(compressor);
}

static bool prepare(struct compressor *compressor, size_t capacity)
{
    if (!compressor->context) {
        compressor->context = ZSTD_createCCtx();
        if (!compressor->context)
            return false;
        ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_compressionLevel, LEVEL);
        ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_windowLog, WINDOW_LOG);
    }
    if (capacity <= compressor->capacity)
        return true;
    uint8_t *bytes = realloc(compressor->bytes, capacity);
    if (!bytes)
        return false;
    compressor->bytes = bytes;
    compressor->capacity = capacity;
    return true;
}

size_t compress_batch(struct compressor *compressor, const uint8_t *payload, size_t head,
                      size_t length, const uint8_t **out)
{
    size_t content = length - head;
    if (content <= PREFIX_MAX || content > COMPRESS_CONTENT_MAX || !prepare(compressor, length))
        return 0;
    /* The frame goes where the longest prefix leaves it room, and then up against the real one. No
     * room for it means that it would not be smaller. */
    uint8_t *frame = compressor->bytes + head + PREFIX_MAX;
    size_t size =
        ZSTD_compress2(compressor->context, frame, content - PREFIX_MAX, payload + head, content);
    if (ZSTD_isError(size))
        return 0;
    memcpy(compressor->bytes, payload, head);
    uint8_t *at = compressor->bytes + head;
    *at++ = TAG_ZSTD;
    at = varint_put(at, size);
    memmove(at, frame, size);
    *out = compressor->bytes;
    return (size_t)(at - compressor->bytes) + size;
}

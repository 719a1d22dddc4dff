/* The rows of a DataBatch as one zstd frame, where that is smaller. */
#ifndef LIFELINE_COMPRESS_H
#define LIFELINE_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

enum { COMPRESS_CONTENT_MAX = 4 << 20 };

struct compressor;

/* Costs nothing before it is first used. NULL without memory. */
struct compressor *compress_new(void);
void compress_free(struct compressor *compressor);

/* payload: `head` bytes of header fields, then rows. Returns the length of the compressed payload
 * in *out, which belongs to the compressor until the next call, or 0 when it is not smaller, too
 * large, or there is no memory: then the payload is to be sent as it is. */
size_t compress_batch(struct compressor *compressor, const uint8_t *payload, size_t head,
                      size_t length, const uint8_t **out);

#endif

/* A transcript: what was asked on a line and what came back, as lines of text that stay readable.
 *
 *     # serial 4800 8N1
 *     # unit 3 rs-dip-n01
 *     > 03 03 00 00 00 03 04 29
 *     < 03 03 06 00 7D FF DD 00 05 0C 50
 *     > 03 04 00 01 00 01 61 E8
 *     < timeout
 *
 * One > a question, then one < for its answer, right or wrong, as the bytes came; further < lines
 * are what was heard behind it. # begins a comment. All frames are RTU frames. Modbus TCP is
 * written as one too: the MBAP header is left out and a CRC put behind, so that a sensor's
 * transcript is the same whatever led to it; an answer over TCP that is no right one is written as
 * it came. */
#ifndef LIFELINE_TRANSCRIPT_H
#define LIFELINE_TRANSCRIPT_H

#include <stdio.h>

#include "drivers/probe.h"

enum { TRANSCRIPT_REQUEST_LENGTH = 8 };

/* Writes one question and its answer. */
void transcript_write(FILE *out, enum transport_kind kind, const struct probe_question *question,
                      const struct probe_answer *answer);

struct transcript_exchange {
    uint8_t request[TRANSCRIPT_REQUEST_LENGTH];
    uint8_t answer[PROBE_FRAME_MAX]; /* without what was heard behind it */
    size_t answer_length;            /* 0 = timeout */
};

struct transcript {
    struct transcript_exchange *exchanges; /* in the order of the file */
    size_t count;
};

/* False when the text is no transcript (why says where) or there is no memory. */
bool transcript_parse(struct transcript *transcript, const char *text, char *why, size_t why_size)
    __attribute__((warn_unused_result));
void transcript_free(struct transcript *transcript);

/* The newest answer to this very request, NULL when it was never asked. */
const struct transcript_exchange *transcript_find(const struct transcript *transcript,
                                                  const uint8_t request[TRANSCRIPT_REQUEST_LENGTH]);

#endif

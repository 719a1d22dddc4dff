/* A line: one thread, one transport, the blocks of its units one after the other. */
#ifndef LIFELINE_LINE_H
#define LIFELINE_LINE_H

#include "drivers/plan.h"
#include "drivers/transport.h"
#include "gateway/flow/pipeline.h"

struct line;

/* The line of that index with its blocks; all arguments must outlive it. NULL without memory. */
struct line *line_new(const struct settings *settings, const struct plan *plan, uint32_t index,
                      struct pipeline *pipeline);
void line_free(struct line *line);

bool line_start(struct line *line) __attribute__((warn_unused_result));

/* Tells the thread to end; line_join() waits for it, at most until the deadline. False: it hangs
 * and is left behind, and the line must not be freed. */
void line_stop(struct line *line);
bool line_join(struct line *line, mono_time deadline);

/* Polls all blocks of a device as soon as the line is free. Any thread. */
void line_poll_now(struct line *line, uint32_t device);

struct line_counts {
    uint64_t requests, good, timeout, exception, garbled, link;
};

struct line_status {
    bool open;
    uint32_t load_percent; /* busy time over the last ten seconds or so */
    uint32_t devices, silent;
    uint64_t slipped;
    struct line_counts counts;
};

struct line_device_status {
    enum outcome outcome; /* of the newest poll */
    bool asked;
    mono_time good; /* last good answer; ns 0 = never */
    struct line_counts counts;
    uint8_t exception; /* code, after OUTCOME_EXCEPTION */
};

void line_status(struct line *line, struct line_status *out);

/* False when the device is not on this line. */
bool line_device_status(struct line *line, uint32_t device, struct line_device_status *out);

#endif

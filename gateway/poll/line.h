/* A line: one thread, one transport, the reads of its units one after the other. */
#ifndef LIFELINE_LINE_H
#define LIFELINE_LINE_H

#include "drivers/plan.h"
#include "drivers/transport.h"
#include "gateway/flow/pipeline.h"
#include "gateway/poll/tally.h"

struct line;

/* The line of that index with its reads; number: how its samples name it, for as long as it lives.
 * All arguments must outlive it. NULL without memory. */
struct line *line_new(const struct settings *settings, const struct plan *plan, uint32_t index,
                      uint16_t number, struct pipeline *pipeline);
void line_free(struct line *line);
uint16_t line_number(const struct line *line);

/* Before the start: the answers that are still under way to a line that has ended, on the same port
 * or server, are not taken for others. One that hangs has nothing to give. */
void line_inherit(struct line *line, const struct line *before);

bool line_start(struct line *line) __attribute__((warn_unused_result));
bool line_is_running(const struct line *line);

/* Tells the thread to end when the poll under way is over: no answer is lost. */
void line_finish(struct line *line);

/* Tells the thread to end now; line_join() waits for it, at most until the deadline. False: it
 * hangs and is left behind, and the line must not be freed. */
void line_stop(struct line *line);
bool line_join(struct line *line, mono_time deadline);

/* ---- any thread ---- */

/* The line is what it was, in another configuration: its thread takes this over between two polls
 * and goes on. Until line_is_bound() what it had before must stay. */
void line_rebind(struct line *line, const struct settings *settings, const struct plan *plan,
                 uint32_t index);
bool line_is_bound(struct line *line);

/* A device is told by its place among those of the line (setup->of_line), the same over a reload.
 * Polls all its blocks as soon as the line is free, before everything else. */
void line_poll_now(struct line *line, uint32_t place);

/* Polls the device so often beside its periods, while an alarm of it is up; 0 ends it. */
void line_boost(struct line *line, uint32_t place, uint32_t every_ms);

/* A question that somebody else asks on the line, between two polls: a probe. */
struct line_question {
    struct transport_request request;
    struct serial serial; /* baud 0 = the line's own; the line gets its own back afterwards */
    uint32_t listen_ms;   /* after the answer, for a second one */
};

enum { LINE_FRAME_MAX = 260, LINE_HEARD_MAX = 512, LINE_REGISTERS_MAX = 125 };

struct line_answer {
    enum outcome outcome;
    uint8_t exception;                      /* the code, after OUTCOME_EXCEPTION */
    uint16_t registers[LINE_REGISTERS_MAX]; /* after OUTCOME_OK; of more bits, the first ones */
    int64_t round_trip_us;
    uint8_t frame[LINE_FRAME_MAX]; /* as it came, CRC or MBAP header included */
    size_t frame_length;
    uint8_t heard[LINE_HEARD_MAX]; /* what came in listen_ms */
    size_t heard_length;
    char why[200];
};

/* Takes the question, which the line's thread asks as soon as it is free; one at a time. Returns
 * its ticket, 0 when another one is under way. */
uint32_t line_ask(struct line *line, const struct line_question *question);

/* True when the answer is there; then the line takes the next question. */
bool line_answered(struct line *line, uint32_t ticket, struct line_answer *out);

/* The answer is no longer wanted. */
void line_forget(struct line *line, uint32_t ticket);

struct line_status {
    bool open;             /* its link works; between two polls it may be closed */
    uint32_t load_percent; /* busy time over the last ten seconds or so */
    uint32_t devices;
    uint32_t silent;   /* devices of which nothing answers */
    uint32_t slipping; /* devices that are polled less often than asked, for want of line time */
    uint64_t slipped;  /* periods left out for want of line time */
    struct tally tally;
};

struct line_device_status {
    enum outcome outcome; /* of the newest poll; of several blocks the first that fails */
    bool asked;
    mono_time good;    /* last good answer; ns 0 = never */
    mono_time next;    /* when it is asked next */
    bool resting;      /* does not answer, and is asked less often for it */
    uint64_t slipped;  /* periods left out for want of line time */
    float stretch;     /* its periods last so many times what was asked; 1 = on time */
    uint8_t exception; /* code, after OUTCOME_EXCEPTION */
    uint16_t holes;    /* requests of it that had to be divided: registers it does not have */
    struct tally tally;
};

void line_status(struct line *line, struct line_status *out);

/* False when the line has no such place. */
bool line_device_status(struct line *line, uint32_t place, struct line_device_status *out);

#endif

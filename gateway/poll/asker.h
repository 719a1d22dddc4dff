/* Asks on a line: opens its link, keeps the gap that a sensor wants, repeats what failed. */
#ifndef LIFELINE_ASKER_H
#define LIFELINE_ASKER_H

#include "drivers/clock.h"
#include "drivers/transport.h"
#include "gateway/poll/line.h"

struct asker;

/* Does not open. NULL without memory. The settings must outlive it. */
struct asker *asker_new(const struct settings_line *line);
void asker_free(struct asker *asker);
/* The line is as it was, its settings lie elsewhere now. In the line's thread. */
void asker_rebind(struct asker *asker, const struct settings_line *line);
/* Before the first request: what the units of the same port or server owe an asker that has ended.
 */
void asker_inherit(struct asker *asker, const struct asker *before);
void asker_close(struct asker *asker);

/* The last thing that was tried with the link worked. It may be closed all the same: between polls,
 * or after a timeout. */
bool asker_is_up(const struct asker *asker);

/* Ends what blocks, and every later call; any thread. */
void asker_interrupt(struct asker *asker);
bool asker_is_interrupted(const struct asker *asker);

struct asked {
    enum outcome outcome;
    uint8_t exception;     /* after OUTCOME_EXCEPTION */
    int64_t round_trip_us; /* of the last try */
    int64_t busy_ns;       /* line time of all tries */
    char why[200];
};

/* Asks up to `tries` times and counts each; gap_ms: silence before the request. registers: as
 * transport_read(). A link that is down is opened when its pause is over; until then the outcome is
 * LINK at once. */
void asker_ask(struct asker *asker, const struct transport_request *request, uint32_t gap_ms,
               unsigned tries, uint16_t *registers, struct tally *tally, struct asked *out);

/* Asks the question of a probe once and writes the whole answer. */
void asker_probe(struct asker *asker, const struct line_question *question,
                 struct line_answer *answer);

/* What else came for a unit. */
struct transport_noise asker_noise(const struct asker *asker, uint8_t unit);

#endif

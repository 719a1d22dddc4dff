/* One poll: the requests of a read, its blocks decoded and handed on. */
#ifndef LIFELINE_POLL_H
#define LIFELINE_POLL_H

#include "gateway/poll/asker.h"
#include "gateway/poll/ledger.h"
#include "gateway/poll/schedule.h"

struct poll;

/* The reads of a line, in the order of the plan; number: how samples name the line. NULL without
 * memory. All arguments must outlive it. */
struct poll *poll_new(const struct settings *settings, const struct plan *plan, uint32_t line,
                      uint16_t number, struct asker *asker, struct ledger *ledger,
                      struct pipeline *pipeline);
void poll_free(struct poll *poll);

/* The same reads, of another plan (plan_diff_same_line()). Between two polls. */
void poll_rebind(struct poll *poll, const struct settings *settings, const struct plan *plan,
                 uint32_t line);

size_t poll_count(const struct poll *poll);
const struct plan_read *poll_plan(const struct poll *poll, size_t read);

/* How a poll went, for the schedule. */
struct polled {
    enum schedule_answer answer;
    int64_t busy_ns;
    mono_time now;
};

/* Asks for the blocks of a read that are due in this period (all of them when `whole`), and again
 * as often as configured when `retry`. False: interrupted, and nothing is known. */
bool poll_read(struct poll *poll, size_t read, uint64_t tick, bool whole, bool retry,
               struct polled *out);

/* How many places of a read must not be bridged. */
uint16_t poll_holes(const struct poll *poll, size_t read);

#endif

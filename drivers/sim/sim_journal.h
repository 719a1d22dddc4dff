/* The journal: what was answered, so that a test can compare it with what arrived.
 *
 * One JSON object a line for every answered request and device it met:
 *
 *     {"t":1795343723123,"line":"plc","device":"well-017","unit":3,"function":3,"address":0,"count":3,
 *      "held_us":31250,"counter":17,"fault":"late","points":{"tilt_x":-4125,"level":1.25}}
 *
 * t: wall clock, ms, when the reply's last byte left. counter: of the block (unit, function,
 * address), 1 for its first answer; answers spoilt by a fault (garbled, short, wrong-unit) count
 * too, so that their values are told from all others. points: those that the request holds whole,
 * as steps (value x 10^decimals), floats as numbers of 9 digits. held_us: how long the exchange
 * took the line by its line time: the request's characters, the silence, the sensor's thought, the
 * reply's characters and the silence behind (the sensor's own, if longer); 0 without line time, and
 * but for the first line of an answer that met several devices. fault: only when one struck; then
 * `counter` and `points` stand there for those alone that let the answer through whole ("late",
 * "noise", "foreign", "twin"). exception: the code, when one was sent; no points then. A link that
 * is dropped or restored:
 * {"t","line","fault":"drop-link","down":true}. A line is in the file before the last byte of its
 * reply is on its way; a reply whose connection closed before it was due has none. */
#ifndef LIFELINE_SIM_JOURNAL_H
#define LIFELINE_SIM_JOURNAL_H

#include "drivers/sim/sim_fault.h"
#include "drivers/sim/sim_units.h"

struct sim_journal;

/* Appends. NULL with errno when it cannot be opened. */
struct sim_journal *sim_journal_open(const char *path);
void sim_journal_close(struct sim_journal *journal);

struct sim_journal_entry {
    const char *line;
    const struct sim_units *units;
    struct sim_request request;
    struct sim_answer answer;
    int64_t held_ns;
    enum sim_fault_kind fault;
};

/* journal NULL: nothing is written. Returns false when the file takes no more. */
bool sim_journal_reply(struct sim_journal *journal, const struct sim_journal_entry *entry);
bool sim_journal_link(struct sim_journal *journal, const char *line, bool down);

#endif

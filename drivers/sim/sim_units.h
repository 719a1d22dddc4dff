/* The units behind one line: who answers a request, with what, and what that answer says. */
#ifndef LIFELINE_SIM_UNITS_H
#define LIFELINE_SIM_UNITS_H

#include "config/settings.h"
#include "drivers/sim/sim_frame.h"
#include "drivers/sim/sim_value.h"

struct sim_units;

/* How a request was answered. */
struct sim_answer {
    uint8_t exception;        /* 0: with registers */
    struct sim_moment moment; /* its counter: of the block (unit, function, address) */
};

/* The settings must outlive it. NULL when there is no memory. */
struct sim_units *sim_units_new(const struct settings *settings, uint32_t line);
void sim_units_free(struct sim_units *units);

/* All devices of the line from now on as the scenario says, which must outlive them. */
void sim_units_follow(struct sim_units *units, const struct sim_scenario *scenario);

/* True when a device of the line has this unit address. */
bool sim_units_present(const struct sim_units *units, uint8_t unit);

/* The silence that the unit's sensors want before a request. */
uint32_t sim_units_gap_ms(const struct sim_units *units, uint8_t unit);

/* Index (into the settings) of the device that a request is for: the first whose registers it
 * meets, else the first of the unit; -1 when there is no such unit. */
int32_t sim_units_device(const struct sim_units *units, const struct sim_request *request);

/* Writes the answer's PDU and counts the block on; the PDU's length. since_ms: the scenario's
 * start. */
size_t sim_units_answer(struct sim_units *units, const struct sim_request *request,
                        int64_t since_ms, uint8_t *pdu, struct sim_answer *answer);

/* The devices whose registers a request meets, one after the other: *at starts at 0; NULL at the
 * end. */
const struct sim_value *sim_units_next(const struct sim_units *units,
                                       const struct sim_request *request, size_t *at);

#endif

/* The numbers that a simulated device shows: value = f(point, counter).
 *
 *     raw(point, counter) = first + step x ((start + counter x stride) mod count)
 *
 * `first`, `step` and `count` span the raw values whose published value lies in the point's valid
 * range and differs from its neighbour's; `stride` has no divisor in common with `count` and lies
 * near 0.38 of it, so that every one of them comes once before one comes again and neighbours in
 * time are far apart; `start` comes from the device's name and the point's index, so that two
 * points side by side differ. A counter (a point with `wrap`) counts: stride 1. Where the model
 * says its unit or decimals in a register, the device's name chooses them. The same configuration
 * gives the same numbers for ever.
 *
 * Where a scenario says what a point measures, that goes through the same registers instead; the
 * device then speaks its point's own unit, in which all of the range finds room. */
#ifndef LIFELINE_SIM_VALUE_H
#define LIFELINE_SIM_VALUE_H

#include "drivers/sim/sim_scenario.h"

struct sim_value;

/* What a value depends on. */
struct sim_moment {
    uint32_t counter; /* of the block */
    int64_t since_ms; /* the scenario's start */
};

/* The device's settings must outlive it. NULL when there is no memory. */
struct sim_value *sim_value_new(const struct settings_device *device);
void sim_value_free(struct sim_value *value);

/* From now on as the scenario says, which must outlive it; `device`: its index in the settings. */
void sim_value_follow(struct sim_value *value, const struct sim_scenario *scenario,
                      uint32_t device);
const struct settings_device *sim_value_device(const struct sim_value *value);

/* True when a request for these addresses (on the wire, base included) meets a register of the
 * device. */
bool sim_value_covers(const struct sim_value *value, enum function function, uint16_t address,
                      uint16_t count);

/* True when it holds the whole of the point and of the registers that the point is read with. */
bool sim_value_contains(const struct sim_value *value, size_t point, enum function function,
                        uint16_t address, uint16_t count);

/* Writes what the device has at these addresses and leaves all other registers as they are. */
void sim_value_fill(const struct sim_value *value, enum function function, uint16_t address,
                    uint16_t count, struct sim_moment moment, uint16_t *registers);

/* What a gateway has to publish: the float for a point that is sent as one, else the steps. Worked
 * out apart from drivers/decode.c. */
float sim_value_real(const struct sim_value *value, size_t point, struct sim_moment moment);
int64_t sim_value_steps(const struct sim_value *value, size_t point, struct sim_moment moment);

/* How many different values the point goes through before one comes again; 0 when its register has
 * none that is valid. */
uint32_t sim_value_distinct(const struct sim_value *value, size_t point);

#endif

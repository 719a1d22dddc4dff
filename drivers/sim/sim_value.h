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
 * gives the same numbers for ever. */
#ifndef LIFELINE_SIM_VALUE_H
#define LIFELINE_SIM_VALUE_H

#include "config/settings.h"

struct sim_value;

/* The device's settings must outlive it. NULL when there is no memory. */
struct sim_value *sim_value_new(const struct settings_device *device);
void sim_value_free(struct sim_value *value);
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
                    uint16_t count, uint32_t counter, uint16_t *registers);

/* What a gateway has to publish: the float for a point that is sent as one, else the steps. Worked
 * out apart from drivers/decode.c. */
float sim_value_real(const struct sim_value *value, size_t point, uint32_t counter);
int64_t sim_value_steps(const struct sim_value *value, size_t point, uint32_t counter);

/* How many different values the point goes through before one comes again; 0 when its register has
 * none that is valid. */
uint32_t sim_value_distinct(const struct sim_value *value, size_t point);

#endif

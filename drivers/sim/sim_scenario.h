/* A scenario: hours in the life of a city, as what its sensors measure.
 *
 *     scenario: burst
 *     title: { zh: 供水管爆裂, en: a burst main }
 *     lasts: 2h
 *     targets:
 *       - { sector: water, quantity: pressure, devices: 1, noise: 0.002,
 *           curve: [[0s, 0.38], [30m, 0.38], [1820s, 0.08]] }
 *       - { sector: water, quantity: pressure, curve: [[0s, 0.38]] }
 *       - { sector: water, quantity: flow_total, curve: [[0s, 0], [2h, 800]] }
 *       - { sector: manhole, devices: 1, silent: [[95m, 2h]] }
 *
 * A target takes every point of that quantity on the devices of that sector (or [several]),
 * narrowed by
 *   device: NAME   this device alone
 *   devices: N     no more devices than this, in the order of the configuration
 *   lines: N       no more lines than this, likewise
 *   nth: N         of each device its Nth point of the quantity alone
 * and gives it one of
 *   curve:         [time, value] pairs; straight between them, held before the first and after the
 *                  last
 *   steps:         likewise, each value held until the next
 * What a counter gets (rain, flow_total, heat_total, starts) is added to where it stands, and falls
 * back to 0 at the profile's wrap.
 *   noise:         what is shown lies at most this beside it, another for each second
 *   spread: 30s    each further device that it takes is so much later
 *   silent:        [from, to] pairs in which the devices do not answer; alone, or beside values.
 *                  Without a quantity it takes whole devices; without a sector, those of any.
 * A point belongs to the first target that takes it. Times are since the start, at most `lasts`,
 * values in the quantity's unit and range. Pure: no clock, no thread, nothing allocated once
 * loaded.
 */
#ifndef LIFELINE_SIM_SCENARIO_H
#define LIFELINE_SIM_SCENARIO_H

#include "config/field.h"
#include "config/settings.h"

struct sim_scenario;

/* The file. */
extern const struct section SIM_SCENARIO;

/* Reads it and finds its points in the settings, which must outlive it. NULL when anything is
 * wrong or nothing in the configuration plays a part; a target without a point is a warning. */
struct sim_scenario *sim_scenario_load(const char *path, const struct settings *settings,
                                       struct diagnostics *diagnostics);
struct sim_scenario *sim_scenario_parse(const struct source *source,
                                        const struct settings *settings,
                                        struct diagnostics *diagnostics);
void sim_scenario_free(struct sim_scenario *scenario);

/* What the point (by the index of its profile) measures at that time. False when it plays no part:
 * *value is left alone. Before the start is as at the start. */
bool sim_scenario_value(const struct sim_scenario *scenario, uint32_t device, uint32_t point,
                        int64_t since_ms, double *value);

/* True when the device does not answer at that time. */
bool sim_scenario_silent(const struct sim_scenario *scenario, uint32_t device, int64_t since_ms);

/* A line of text for people: "storm 暴雨内涝 (a storm): 6.0 h, 12 points, 1 devices fall silent".
 */
void sim_scenario_describe(const struct sim_scenario *scenario, char *out, size_t out_size);

const char *sim_scenario_name(const struct sim_scenario *scenario);
int64_t sim_scenario_lasts_ms(const struct sim_scenario *scenario);

#endif

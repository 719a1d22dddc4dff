/* A burst main: the pressure drops and does not come back.
 *
 * Called on the thread of the watch; owns nothing, its state is the caller's memory. Numbers come
 * from the rule; domain 4 [S21]. Never says that a main has burst: it says what was measured, and
 * that it looks like it. */
#include "drivers/diagnosis_parts.h"

struct memory {
    bool unused;
};

static void step(void *memory, const struct diagnosis_moment *moment, struct finding *out)
{
    (void)memory, (void)moment;
    *out = (struct finding){.level = LEVEL_NONE};
}

static void tell(const void *memory, const struct diagnosis_moment *moment,
                 const struct finding *finding, char zh[DIAGNOSIS_TEXT_MAX],
                 char en[DIAGNOSIS_TEXT_MAX], char hint[DIAGNOSIS_TEXT_MAX])
{
    (void)memory, (void)moment, (void)finding;
    zh[0] = en[0] = hint[0] = '\0';
}

enum role { PRESSURE, FLOW, RUN };
enum param { WITHIN, WATCH, RECOVERED, FLOW_RISE, PUMP_STOP };

static const struct diagnosis_param params[] = {
    [WITHIN] = {"within", true, true, 1e3, 3600e3, "the drop happens in at most so long"},
    [WATCH] = {"watch", true, true, 1e3, 86400e3, "no level before the drop has lasted so long"},
    [RECOVERED] = {"recovered", false, true, 1, 100,
                   "% of the pressure before the drop: back there, it was no burst"},
    [FLOW_RISE] = {"flow_rise", false, true, 1, 1000, "% more flow than before: more confidence"},
    [PUMP_STOP] = {"pump_stop", true, true, 0, 3600e3,
                   "a pump that stopped at most so long before the drop explains it"},
};

static const struct diagnosis_role roles[] = {
    [PRESSURE] = {.name = "pressure", .quantity = "pressure", .required = true},
    [FLOW] = {.name = "flow", .quantity = "flow", .elsewhere = true},
    [RUN] = {.name = "run", .quantity = "run", .elsewhere = true},
};

const struct diagnosis diagnosis_burst = {
    .form = {.name = "burst",
             .title_zh = "疑似爆管",
             .title_en = "suspected burst",
             .levels_mean = "drop in MPa",
             .params = params,
             .param_count = DIAGNOSIS_COUNT(params),
             .roles = roles,
             .role_count = DIAGNOSIS_COUNT(roles)},
    .memory = sizeof(struct memory),
    .step = step,
    .tell = tell,
};

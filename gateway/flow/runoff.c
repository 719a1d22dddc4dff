/* The rain events of one catchment: when they begin, what belongs to them, when they end.
 *
 * Pure; the pipeline thread. It owns its state, allocated once. While it is dry, each reading that
 * knows of no rain begins a new tally, so that an event begins where the dryness was last certain.
 * An event's end moves along with every rain and every flow above base. What adds up is
 * runoff_tally.c, the dry-weather flow runoff_base.c, the verdict runoff_report.c. Never guesses
 * what a sensor that is silent would have said. */
#include "gateway/flow/runoff.h"

#include <math.h>
#include <stdlib.h>

#include "gateway/flow/runoff_parts.h"

#define SMOOTHING_MS   (15 * 60 * 1000.0)
#define COUNTER_MAX_MM 1e9
#define FLOW_MAX_M3_S  1e6
#define ROUNDING_MM    1e-6 /* of counters, as doubles */

/* A flow counts as back to base within 10 % of the base, 1 % of the peak, or so little that it
 * would take weeks to carry the rain away: whichever is most. */
#define BACK_OF_BASE          0.1
#define BACK_OF_PEAK          0.01
#define BACK_OF_RAIN_PER_HOUR 0.001

/* Two of them: the other is where runoff_load() reads into. */
struct runoff *runoff_new(const struct catchment *catchment)
{
    struct runoff *runoff = calloc(2, sizeof *runoff);
    if (runoff != NULL)
        runoff->catchment = catchment;
    return runoff;
}

void runoff_free(struct runoff *runoff)
{
    free(runoff);
}

void runoff_rebind(struct runoff *runoff, const struct catchment *same)
{
    runoff->catchment = same;
    runoff->told.catchment = same->name;
}

/* ---- clocks ---- */

/* The mono clock of another boot: everything moves to where it lies on this one, by as much as went
 * by on the wall. Where that is not known, nothing is taken to have gone by, and it is said. */
static void resume(struct runoff *runoff, int64_t t, int64_t wall_ms)
{
    int64_t away = wall_ms - (runoff->now + runoff->wall_offset);
    bool known = runoff->wall_is_true && wall_ms >= CLOCK_WALL_TRUE_MS && away > -RUNOFF_MINUTE_MS;
    int64_t shift = t - runoff->now - (known && away > 0 ? away : 0);
    runoff->resumed = false;
    runoff->clock_lost = runoff->clock_lost || !known;
    runoff->now += shift;
    runoff->wall_offset -= shift;
    runoff->start += shift;
    runoff->end += shift;
    runoff->rain_at += shift;
    runoff->dry_since = known || runoff->has_rain ? runoff->dry_since + shift : t;
    runoff->main.peak_at += shift;
    runoff->after.peak_at += shift;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++) {
        runoff->gauges[i].at += shift;
        runoff->gauges[i].burst_at += shift;
    }
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++)
        runoff->outfalls[i].at += shift;
}

/* Returns the time of the call, which other lines may have overtaken. */
static int64_t take_clock(struct runoff *runoff, mono_time mono, wall_time wall)
{
    int64_t t = clock_mono_ms(mono);
    if (runoff->resumed)
        resume(runoff, t, wall.ms);
    if (wall.ms >= CLOCK_WALL_TRUE_MS || !runoff->wall_is_true) {
        runoff->wall_offset = wall.ms - t;
        runoff->wall_is_true = wall.ms >= CLOCK_WALL_TRUE_MS;
    }
    if (t > runoff->now)
        runoff->now = t;
    runoff_advance(runoff, runoff->now);
    return t;
}

/* ---- what is known ---- */

static int64_t gauge_patience(const struct runoff *runoff, size_t i)
{
    return runoff_patience(runoff->catchment->gauges[i].every_ms);
}

static int64_t outfall_patience(const struct runoff *runoff, size_t i)
{
    return runoff_patience(runoff->catchment->outfalls[i].every_ms);
}

enum { NO_GAUGE = CATCHMENT_GAUGES_MAX };

/* Any gauge but one. */
static bool sees_rain(const struct runoff *runoff, size_t but)
{
    bool any = false;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++) {
        const struct gauge *gauge = &runoff->gauges[i];
        any = any ||
              (i != but && gauge->ever && runoff->now - gauge->at <= gauge_patience(runoff, i));
    }
    return any;
}

static bool sees_flow(const struct runoff *runoff)
{
    bool all = true;
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++) {
        const struct outfall *outfall = &runoff->outfalls[i];
        all = all && outfall->ever && runoff->now - outfall->at <= outfall_patience(runoff, i);
    }
    return all;
}

static double most_rain(const struct runoff *runoff)
{
    double most = 0;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++)
        most = fmax(most, runoff->gauges[i].depth_mm);
    return most;
}

/* The flow is back where it was: not above base, and not running backwards. */
static bool is_back(const struct runoff *runoff)
{
    double base = 0, half = 0, excess = 0;
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++) {
        const struct outfall *outfall = &runoff->outfalls[i];
        struct base one = runoff_base(runoff, outfall, runoff->now);
        base += fabs(one.m3_s);
        half += one.half_m3_s + runoff_see(runoff_own(runoff, outfall), outfall->m3_s).half_m3_s;
        excess += outfall->excess;
    }
    double peak = runoff->main.has_peak ? runoff->main.peak - base : 0;
    double rain_m3 = 10 * runoff->catchment->area_ha * fmax(most_rain(runoff), RUNOFF_LEAST_MM);
    double most = fmax(BACK_OF_BASE * base, BACK_OF_PEAK * peak);
    double tolerance = half + fmax(most, BACK_OF_RAIN_PER_HOUR * rain_m3 / 3600);
    return excess <= tolerance && excess >= -base - tolerance;
}

/* ---- rain ---- */

/* How much the counter says has fallen; false when it cannot say. */
static bool count_rain(const struct runoff *runoff, struct gauge *gauge, int64_t t, double mm,
                       double *fallen)
{
    double wrap = runoff->catchment->gauges[gauge - runoff->gauges].wrap_mm;
    double minutes = fmax((double)(t - gauge->at) / RUNOFF_MINUTE_MS, 1);
    double most = RUNOFF_IMPOSSIBLE_MM_MIN * minutes;
    *fallen = mm - gauge->mm;
    if (fabs(*fallen) < ROUNDING_MM)
        *fallen = 0;
    if (*fallen < 0 && wrap > 0 && *fallen + wrap >= 0 && *fallen + wrap < fmin(wrap / 4, most))
        *fallen += wrap;
    if (*fallen < 0) { /* since the reset perhaps as much as it shows now */
        gauge->resets++;
        gauge->lost_mm += fmin(mm, RUNOFF_SUSPECT_MM_MIN * minutes);
        return false;
    }
    if (gauge->at - gauge->burst_at >= RUNOFF_MINUTE_MS) {
        gauge->burst_at = gauge->at;
        gauge->burst_mm = 0;
    }
    double lasted = fmax((double)(t - gauge->burst_at) / RUNOFF_MINUTE_MS, 1);
    double rate = (gauge->burst_mm + *fallen) / lasted;
    if (rate > RUNOFF_IMPOSSIBLE_MM_MIN) {
        gauge->refused_mm += *fallen;
        return false;
    }
    gauge->burst_mm += *fallen;
    gauge->fastest_mm_min = fmax(gauge->fastest_mm_min, rate);
    return true;
}

/* It is dry, as far as this reading goes. */
static void know_dry(struct runoff *runoff, int64_t t)
{
    if (!runoff->event && !runoff->has_rain)
        runoff_restart(runoff, t);
}

/* A gauge cannot say whether it rained until now; if no other can, dryness counts from here. */
static void lose_dryness(struct runoff *runoff, size_t gauge, int64_t t)
{
    if (sees_rain(runoff, gauge))
        return;
    if (runoff->event || runoff->has_rain) {
        runoff_extend(runoff, t);
        return;
    }
    runoff->dry_since = t;
    runoff_restart(runoff, t);
}

static void add_rain(struct runoff *runoff, struct gauge *gauge, int64_t from, int64_t to,
                     double fallen)
{
    double middle = (double)((from > runoff->start ? from : runoff->start) - runoff->start +
                             (to - runoff->start)) /
                    2;
    gauge->depth_mm += fallen;
    gauge->moment += fallen * middle;
    if (!runoff->has_rain || to > runoff->rain_at)
        runoff->rain_at = to;
    runoff->has_rain = true;
    runoff_extend(runoff, to);
    if (most_rain(runoff) >= RUNOFF_BEGIN_MM - ROUNDING_MM)
        runoff->event = true;
}

static void take_rain(struct runoff *runoff, size_t i, int64_t t, double mm)
{
    struct gauge *gauge = &runoff->gauges[i];
    int64_t from = gauge->at, patience = gauge_patience(runoff, i);
    double fallen;
    bool counts = count_rain(runoff, gauge, t, mm, &fallen);
    gauge->at = t;
    gauge->mm = mm;
    if (!counts || from < runoff->start - patience) { /* or rain from before all this */
        if (!counts || fallen > 0)
            lose_dryness(runoff, i, t);
        return;
    }
    if (t - from <= patience)
        runoff_cover(runoff, &gauge->minutes, from, t);
    else
        gauge->gap_mm += fallen;
    if (fallen > 0)
        add_rain(runoff, gauge, from, t, fallen);
    else
        know_dry(runoff, t);
}

void runoff_rain(struct runoff *runoff, size_t i, double mm, bool usable, mono_time mono,
                 wall_time wall)
{
    if (i >= runoff->catchment->gauge_count)
        return;
    int64_t t = take_clock(runoff, mono, wall);
    struct gauge *gauge = &runoff->gauges[i];
    if (!usable || !(mm >= 0 && mm < COUNTER_MAX_MM) || (gauge->ever && t <= gauge->at))
        return;
    if (gauge->ever) {
        take_rain(runoff, i, t, mm);
        return;
    }
    gauge->ever = true;
    gauge->at = gauge->burst_at = t;
    gauge->mm = mm;
    if (!runoff->has_dry) { /* the first word of any gauge: nothing before it is known */
        runoff->has_dry = true;
        runoff->dry_since = t;
        runoff_restart(runoff, t);
    }
}

/* ---- flow ---- */

/* Is the flow above base, or just back? Then it belongs to the event. */
static void judge_flow(struct runoff *runoff, int64_t t)
{
    double total = 0;
    if (!sees_flow(runoff))
        return;
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++)
        total += runoff->outfalls[i].m3_s;
    runoff_peak(runoff, total, t);
    bool quiet = is_back(runoff);
    if ((runoff->event || runoff->has_rain) && !(quiet && runoff->quiet))
        runoff_extend(runoff, t);
    runoff->quiet = quiet;
}

static bool is_dry_weather(const struct runoff *runoff, int64_t t)
{
    return runoff->has_dry && !runoff->event && !runoff->has_rain && sees_rain(runoff, NO_GAUGE) &&
           t - runoff->dry_since >= runoff->catchment->dry_gap_ms;
}

void runoff_flow(struct runoff *runoff, size_t i, double m3_s, bool usable, mono_time mono,
                 wall_time wall)
{
    if (i >= runoff->catchment->outfall_count)
        return;
    int64_t t = take_clock(runoff, mono, wall);
    struct outfall *outfall = &runoff->outfalls[i];
    if (!usable || !(fabs(m3_s) < FLOW_MAX_M3_S) || (outfall->ever && t <= outfall->at))
        return;
    int64_t from = outfall->ever ? outfall->at : runoff->start;
    double from_m3_s = outfall->ever ? outfall->m3_s : m3_s;
    bool gap = !outfall->ever || t - from > outfall_patience(runoff, i);
    runoff_integrate(runoff, outfall, from, from_m3_s, t, m3_s, gap);
    if (!gap && is_dry_weather(runoff, t))
        runoff_learn(runoff, outfall, from, from_m3_s, t, m3_s);
    double excess =
        runoff_see(runoff_own(runoff, outfall), m3_s).m3_s - runoff_base(runoff, outfall, t).m3_s;
    double weight = gap ? 1 : 1 - exp(-(double)(t - from) / SMOOTHING_MS);
    outfall->excess += weight * (excess - outfall->excess);
    outfall->ever = true;
    outfall->at = t;
    outfall->m3_s = m3_s;
    judge_flow(runoff, t);
}

/* ---- the end ---- */

/* A flow that is not back moves the end along with each reading. */
static bool has_ended(struct runoff *runoff, enum runoff_ending *ending)
{
    int64_t now = runoff->now, dry = now - runoff->rain_at;
    int64_t gap = runoff->catchment->dry_gap_ms;
    *ending = ENDING_DRY;
    if (dry >= gap && sees_rain(runoff, NO_GAUGE) && sees_flow(runoff) &&
        now - runoff->end >= RUNOFF_SETTLE_MS)
        return true;
    *ending = now - runoff->start >= RUNOFF_EVENT_MAX_MS ? ENDING_TOO_LONG : ENDING_NOT_BACK;
    if (*ending == ENDING_NOT_BACK && dry < gap + RUNOFF_DRAIN_MS)
        return false;
    runoff_extend(runoff, now);
    return true;
}

const struct runoff_event *runoff_tick(struct runoff *runoff, mono_time mono, wall_time wall)
{
    enum runoff_ending ending;
    take_clock(runoff, mono, wall);
    if (!runoff->event) { /* a drop that no rain followed was none */
        if (runoff->has_rain && runoff->now - runoff->rain_at >= runoff->catchment->dry_gap_ms)
            runoff_restart(runoff, runoff->now);
        return NULL;
    }
    if (!has_ended(runoff, &ending))
        return NULL;
    runoff_close(runoff);
    runoff_tell(runoff, ending);
    runoff->dry_since = runoff->rain_at;
    runoff_restart(runoff, runoff->now);
    return &runoff->told;
}

void runoff_look(const struct runoff *runoff, struct runoff_now *out)
{
    const struct catchment *catchment = runoff->catchment;
    *out = (struct runoff_now){.event = runoff->event, .flow_known = sees_flow(runoff)};
    out->base_known = true;
    for (size_t i = 0; i < catchment->outfall_count; i++) {
        struct base base = runoff_base(runoff, &runoff->outfalls[i], runoff->now);
        out->base_known = out->base_known && base.kind != BASE_NONE;
        out->base_m3_s += base.m3_s;
        out->flow_m3_s += out->flow_known ? runoff->outfalls[i].m3_s : 0;
    }
    if (!runoff->event)
        return;
    out->from_ms = runoff->start + runoff->wall_offset;
    out->duration_ms = runoff->now - runoff->start;
    out->outflow_m3 = runoff->main.outflow + runoff->after.outflow;
    size_t heard = 0;
    for (size_t i = 0; i < catchment->gauge_count; i++) {
        const struct gauge *gauge = &runoff->gauges[i];
        if (!gauge->ever || runoff->now - gauge->at > gauge_patience(runoff, i))
            continue;
        heard++;
        out->rain_mm += gauge->depth_mm;
    }
    out->rain_mm = heard > 0 ? out->rain_mm / (double)heard : most_rain(runoff);
}

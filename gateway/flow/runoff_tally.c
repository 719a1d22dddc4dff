/* What adds up over an event: minutes that were covered, and volumes.
 *
 * Pure; the pipeline thread. The event's end is known only later: whatever lies behind the end as
 * far as it is known is summed apart, and joins when the event goes on. A minute is judged 64
 * minutes late, when every reading that can cover it has come; a minute counts as flow when all
 * outfalls covered its middle. Never decides when an event begins or ends. */
#include <math.h>
#include <string.h>

#include "gateway/flow/runoff_parts.h"

enum { RING = 64, PATIENCE_MIN_MS = 150000, PATIENCE_MAX_MS = 60 * RUNOFF_MINUTE_MS };

int64_t runoff_patience(uint32_t every_ms)
{
    int64_t patience = (int64_t)every_ms * 5 / 2;
    return patience < PATIENCE_MIN_MS   ? PATIENCE_MIN_MS
           : patience > PATIENCE_MAX_MS ? PATIENCE_MAX_MS
                                        : patience;
}

/* ---- minutes ---- */

/* How many minutes since the start have their middle at or before t. */
static int64_t minutes_until(const struct runoff *runoff, int64_t t)
{
    int64_t ms = t - runoff->start + RUNOFF_MINUTE_MS / 2;
    return ms < 0 ? 0 : ms / RUNOFF_MINUTE_MS;
}

static struct sums *sums_of_minute(struct runoff *runoff, int64_t minute)
{
    return minute < minutes_until(runoff, runoff->end) ? &runoff->main : &runoff->after;
}

/* The minute `back` before the newest. */
static void judge_minute(struct runoff *runoff, int64_t back)
{
    const struct catchment *catchment = runoff->catchment;
    if (runoff->head < back)
        return;
    struct sums *sums = sums_of_minute(runoff, runoff->head - back);
    bool flow = true;
    for (size_t i = 0; i < catchment->outfall_count; i++)
        flow = flow && (runoff->outfalls[i].minutes >> back & 1);
    for (size_t i = 0; i < catchment->gauge_count; i++)
        sums->gauge_minutes[i] += (int64_t)(runoff->gauges[i].minutes >> back & 1);
    sums->minutes++;
    sums->flow_minutes += flow;
}

static void shift_minutes(struct runoff *runoff)
{
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++)
        runoff->outfalls[i].minutes <<= 1;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++)
        runoff->gauges[i].minutes <<= 1;
    runoff->head++;
}

void runoff_advance(struct runoff *runoff, int64_t now)
{
    int64_t head = now < runoff->start ? 0 : (now - runoff->start) / RUNOFF_MINUTE_MS;
    for (int i = 0; i < RING && runoff->head < head; i++) {
        judge_minute(runoff, RING - 1);
        shift_minutes(runoff);
    }
    if (runoff->head < head) { /* the machine was off: nobody saw these minutes */
        runoff->after.minutes += head - runoff->head;
        runoff->head = head;
    }
}

void runoff_cover(const struct runoff *runoff, uint64_t *minutes, int64_t from, int64_t to)
{
    int64_t first = minutes_until(runoff, from - 1), last = minutes_until(runoff, to);
    if (first < runoff->head - RING + 1)
        first = runoff->head - RING + 1;
    if (first < 0)
        first = 0;
    for (int64_t minute = first; minute < last && minute <= runoff->head; minute++)
        *minutes |= UINT64_C(1) << (runoff->head - minute);
}

/* ---- volumes ---- */

/* What of a flow is runoff. Below the base flow it is nothing, but water that runs backwards is
 * taken off. */
static double above_base(double m3_s, double base)
{
    double floor = base < 0 ? base : 0;
    return m3_s >= base ? m3_s - base : m3_s < floor ? m3_s - floor : 0;
}

static double backwards(double m3_s)
{
    return m3_s < 0 ? -m3_s : 0;
}

static void add_flow(const struct runoff *runoff, const struct outfall *outfall, struct sums *sums,
                     int64_t from, double from_m3_s, int64_t to, double to_m3_s, bool gap)
{
    const struct catchment_outfall *own = runoff_own(runoff, outfall);
    struct base base = runoff_base(runoff, outfall, from + (to - from) / 2);
    struct seen a = runoff_see(own, from_m3_s), b = runoff_see(own, to_m3_s);
    double ms = (double)(to - from), s = ms / 1000;
    double above_a = above_base(a.m3_s, base.m3_s), above_b = above_base(b.m3_s, base.m3_s);
    double gross = (a.m3_s + b.m3_s) / 2 * s, outflow = (above_a + above_b) / 2 * s;
    sums->gross += gross;
    sums->outflow += outflow;
    sums->base += base.m3_s * s;
    sums->below += outflow - gross + base.m3_s * s;
    sums->reverse += (backwards(a.m3_s) + backwards(b.m3_s)) / 2 * s;
    sums->blind += (a.half_m3_s + b.half_m3_s) / 2 * s;
    sums->blind_ms += a.half_m3_s > 0 || b.half_m3_s > 0 ? ms : 0;
    sums->base_half += base.half_m3_s * s;
    sums->base_kinds |= 1U << base.kind;
    sums->flow_ms += ms;
    if (gap) {
        sums->gap += fmax(fabs(above_a), fabs(above_b)) * s;
        sums->gap_ms += ms;
    }
}

void runoff_integrate(struct runoff *runoff, struct outfall *outfall, int64_t from,
                      double from_m3_s, int64_t to, double to_m3_s, bool gap)
{
    if (from >= to || to <= runoff->start)
        return;
    double slope = (to_m3_s - from_m3_s) / (double)(to - from);
    if (from < runoff->start) {
        from_m3_s += slope * (double)(runoff->start - from);
        from = runoff->start;
    }
    if (from < runoff->end && runoff->end < to) {
        double middle = from_m3_s + slope * (double)(runoff->end - from);
        add_flow(runoff, outfall, &runoff->main, from, from_m3_s, runoff->end, middle, gap);
        add_flow(runoff, outfall, &runoff->after, runoff->end, middle, to, to_m3_s, gap);
    } else {
        struct sums *sums = to <= runoff->end ? &runoff->main : &runoff->after;
        add_flow(runoff, outfall, sums, from, from_m3_s, to, to_m3_s, gap);
    }
    if (!gap)
        runoff_cover(runoff, &outfall->minutes, from, to);
}

void runoff_peak(struct runoff *runoff, double m3_s, int64_t t)
{
    struct sums *sums = t <= runoff->end ? &runoff->main : &runoff->after;
    if (sums->has_peak && m3_s <= sums->peak)
        return;
    sums->has_peak = true;
    sums->peak = m3_s;
    sums->peak_at = t;
}

/* ---- begin and end ---- */

void runoff_extend(struct runoff *runoff, int64_t t)
{
    struct sums *sums = &runoff->main;
    const struct sums *after = &runoff->after;
    if (t <= runoff->end)
        return;
    runoff->end = t;
    sums->gross += after->gross;
    sums->outflow += after->outflow;
    sums->base += after->base;
    sums->below += after->below;
    sums->reverse += after->reverse;
    sums->blind += after->blind;
    sums->base_half += after->base_half;
    sums->gap += after->gap;
    sums->flow_ms += after->flow_ms;
    sums->blind_ms += after->blind_ms;
    sums->gap_ms += after->gap_ms;
    sums->base_kinds |= after->base_kinds;
    sums->minutes += after->minutes;
    sums->flow_minutes += after->flow_minutes;
    for (size_t i = 0; i < CATCHMENT_GAUGES_MAX; i++)
        sums->gauge_minutes[i] += after->gauge_minutes[i];
    if (after->has_peak && (!sums->has_peak || after->peak > sums->peak)) {
        sums->has_peak = true;
        sums->peak = after->peak;
        sums->peak_at = after->peak_at;
    }
    runoff->after = (struct sums){0};
}

void runoff_restart(struct runoff *runoff, int64_t t)
{
    const struct catchment *catchment = runoff->catchment;
    runoff->event = runoff->has_rain = runoff->clock_lost = false;
    runoff->quiet = true;
    runoff->start = runoff->end = t;
    runoff->head = 0;
    runoff->main = runoff->after = (struct sums){0};
    for (size_t i = 0; i < catchment->gauge_count; i++) {
        struct gauge *gauge = &runoff->gauges[i];
        gauge->minutes = 0;
        gauge->depth_mm = gauge->moment = gauge->gap_mm = 0;
        gauge->refused_mm = gauge->lost_mm = gauge->fastest_mm_min = 0;
        gauge->resets = 0;
    }
    for (size_t i = 0; i < catchment->outfall_count; i++) {
        struct outfall *outfall = &runoff->outfalls[i];
        outfall->minutes = 0;
        outfall->has_before =
            outfall->ever && t - outfall->at <= runoff_patience(catchment->outfalls[i].every_ms);
        outfall->before = outfall->has_before ? outfall->m3_s : 0;
    }
    runoff_advance(runoff, runoff->now);
    /* Other sensors were read a little later than the one that begins it. */
    for (size_t i = 0; i < catchment->gauge_count; i++) {
        if (runoff->gauges[i].ever)
            runoff_cover(runoff, &runoff->gauges[i].minutes, t, runoff->gauges[i].at);
    }
    for (size_t i = 0; i < catchment->outfall_count; i++) {
        struct outfall *outfall = &runoff->outfalls[i];
        if (outfall->ever)
            runoff_integrate(runoff, outfall, t, outfall->m3_s, outfall->at, outfall->m3_s, false);
    }
}

void runoff_close(struct runoff *runoff)
{
    const struct catchment *catchment = runoff->catchment;
    for (size_t i = 0; i < catchment->outfall_count; i++) {
        struct outfall *outfall = &runoff->outfalls[i];
        bool gap = runoff->end - outfall->at > runoff_patience(catchment->outfalls[i].every_ms);
        if (outfall->ever)
            runoff_integrate(runoff, outfall, outfall->at, outfall->m3_s, runoff->end,
                             outfall->m3_s, gap);
    }
    int64_t oldest = runoff->head < RING - 1 ? runoff->head : RING - 1;
    for (int64_t back = oldest; back >= 0; back--)
        judge_minute(runoff, back);
}

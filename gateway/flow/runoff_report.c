/* The verdict on an event: its numbers, what is doubtful about them, and the grade that follows.
 *
 * Pure; the pipeline thread. Every doubt stands in one table with the best grade that it allows.
 * Never gives a share that the rules at the head of runoff.h refuse, and never clips one. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/flow/runoff_parts.h"

#define COVERAGE_GOOD        0.95
#define COVERAGE_LEAST       0.80
#define WORTH_SAYING         0.01 /* of the rain volume */
#define REVERSE_WORTH_SAYING 0.001
#define TAIL_S               (3 * 3600.0)
#define QUALIFYING_DRY_MS    (24 * INT64_C(3600000))

static const enum runoff_grade allows[RUNOFF_DOUBT_COUNT] = {
    [RUNOFF_RAIN_COVERAGE] = RUNOFF_GRADE_C, /* below 80 %: INSUFFICIENT, as with the next */
    [RUNOFF_FLOW_COVERAGE] = RUNOFF_GRADE_C,
    [RUNOFF_LITTLE_RAIN] = RUNOFF_GRADE_NOT_EVALUATED,
    [RUNOFF_NO_BASE] = RUNOFF_GRADE_INSUFFICIENT,
    [RUNOFF_RAIN_RATIO] = RUNOFF_GRADE_C,
    [RUNOFF_RAIN_SUSPECT] = RUNOFF_GRADE_B,
    [RUNOFF_RAIN_IMPOSSIBLE] = RUNOFF_GRADE_C,
    [RUNOFF_RAIN_RESET] = RUNOFF_GRADE_B,
    [RUNOFF_RAIN_GAP] = RUNOFF_GRADE_B,
    [RUNOFF_GAUGE_OUT] = RUNOFF_GRADE_B,
    [RUNOFF_FLOW_GAP] = RUNOFF_GRADE_B,
    [RUNOFF_CUTOFF] = RUNOFF_GRADE_B,
    [RUNOFF_REVERSE] = RUNOFF_GRADE_B,
    [RUNOFF_BELOW_BASE] = RUNOFF_GRADE_B,
    [RUNOFF_BASE_TAKEN] = RUNOFF_GRADE_A,
    [RUNOFF_BASE_YOUNG] = RUNOFF_GRADE_B,
    [RUNOFF_BASE_OTHER_HOURS] = RUNOFF_GRADE_B,
    [RUNOFF_BASE_BEFORE] = RUNOFF_GRADE_C,
    [RUNOFF_BEGIN_UNKNOWN] = RUNOFF_GRADE_C,
    [RUNOFF_NOT_BACK] = RUNOFF_GRADE_C,
    [RUNOFF_TOO_LONG] = RUNOFF_GRADE_C,
    [RUNOFF_CLOCK] = RUNOFF_GRADE_C,
    [RUNOFF_PARTIAL] = RUNOFF_GRADE_C,
    [RUNOFF_OUTSIDE] = RUNOFF_GRADE_IMPLAUSIBLE,
    [RUNOFF_ABOUT_ONE] = RUNOFF_GRADE_A,
    [RUNOFF_NOT_JUDGED] = RUNOFF_GRADE_A,
    [RUNOFF_QUALIFIES] = RUNOFF_GRADE_A,
};

/* What the texts are made of. */
struct findings {
    const struct runoff *runoff;
    struct runoff_event *event;
    enum runoff_ending ending;
    bool uses[CATCHMENT_GAUGES_MAX];
    double low_mm, high_mm; /* of the gauges that are used */
    double fastest_mm_min, refused_mm, lost_mm, gap_mm;
    uint32_t resets;
    double centre_ms; /* of the rain, since the start */
};

const char *runoff_grade_name(enum runoff_grade grade)
{
    switch (grade) {
    case RUNOFF_GRADE_A:
        return "a";
    case RUNOFF_GRADE_B:
        return "b";
    case RUNOFF_GRADE_C:
        return "c";
    case RUNOFF_GRADE_INSUFFICIENT:
        return "insufficient";
    case RUNOFF_GRADE_NOT_EVALUATED:
        return "not_evaluated";
    case RUNOFF_GRADE_IMPLAUSIBLE:
        return "implausible";
    }
    return "unknown";
}

__attribute__((format(printf, 3, 4))) static void
doubt(struct runoff_event *event, enum runoff_doubt_kind kind, const char *format, ...)
{
    struct runoff_doubt *one = &event->doubts[event->doubt_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(one->text, sizeof one->text, format, arguments);
    va_end(arguments);
    one->kind = kind;
    if (allows[kind] > event->grade)
        event->grade = allows[kind];
}

/* ---- rain ---- */

static double coverage(int64_t covered, int64_t minutes)
{
    return minutes <= 0 ? 0 : (double)covered / (double)minutes;
}

/* The gauges that saw enough; where none did, the one that saw most. */
static void choose_gauges(struct findings *findings)
{
    const struct sums *sums = &findings->runoff->main;
    size_t count = findings->runoff->catchment->gauge_count;
    double best = 0;
    for (size_t i = 0; i < count; i++)
        best = fmax(best, coverage(sums->gauge_minutes[i], sums->minutes));
    double least = best >= COVERAGE_GOOD    ? COVERAGE_GOOD
                   : best >= COVERAGE_LEAST ? COVERAGE_LEAST
                                            : best;
    findings->event->rain_coverage = 1;
    for (size_t i = 0; i < count; i++) {
        double own = coverage(sums->gauge_minutes[i], sums->minutes);
        findings->uses[i] = own >= least && findings->runoff->gauges[i].ever;
        if (findings->uses[i])
            findings->event->rain_coverage = fmin(findings->event->rain_coverage, own);
    }
}

static void measure_rain(struct findings *findings)
{
    const struct runoff *runoff = findings->runoff;
    struct runoff_event *event = findings->event;
    double depth = 0, moment = 0;
    size_t used = 0;
    findings->low_mm = INFINITY;
    for (size_t i = 0; i < runoff->catchment->gauge_count; i++) {
        const struct gauge *gauge = &runoff->gauges[i];
        if (!findings->uses[i])
            continue;
        used++;
        depth += gauge->depth_mm;
        moment += gauge->moment;
        findings->low_mm = fmin(findings->low_mm, gauge->depth_mm);
        findings->high_mm = fmax(findings->high_mm, gauge->depth_mm);
        findings->fastest_mm_min = fmax(findings->fastest_mm_min, gauge->fastest_mm_min);
        findings->refused_mm = fmax(findings->refused_mm, gauge->refused_mm);
        findings->lost_mm = fmax(findings->lost_mm, gauge->lost_mm);
        findings->gap_mm = fmax(findings->gap_mm, gauge->gap_mm);
        findings->resets += gauge->resets;
    }
    event->rain_mm = used == 0 ? 0 : depth / (double)used;
    event->rain_m3 = 10 * event->rain_mm * event->area_ha;
    findings->centre_ms = depth > 0 ? moment / depth : 0;
    if (used == 0)
        event->rain_coverage = 0;
}

static void doubt_coverage(struct runoff_event *event, enum runoff_doubt_kind kind,
                           const char *what, double share)
{
    if (share >= COVERAGE_GOOD)
        return;
    bool refused = share < COVERAGE_LEAST;
    doubt(event, kind, "%s was measured for %.0f %% of the event%s", what, floor(100 * share),
          refused ? ": too little for a share" : "");
    if (refused && event->grade < RUNOFF_GRADE_INSUFFICIENT)
        event->grade = RUNOFF_GRADE_INSUFFICIENT;
}

static void doubt_rain(const struct findings *findings)
{
    struct runoff_event *event = findings->event;
    size_t used = 0, count = findings->runoff->catchment->gauge_count;
    for (size_t i = 0; i < count; i++)
        used += findings->uses[i];
    if (event->rain_mm < RUNOFF_LEAST_MM && event->rain_coverage >= COVERAGE_LEAST)
        doubt(event, RUNOFF_LITTLE_RAIN, "%.1f mm of rain: below 2 mm no share is given",
              event->rain_mm);
    if (used > 1 && findings->high_mm > 2 * findings->low_mm)
        doubt(event, RUNOFF_RAIN_RATIO,
              "the rain gauges differ by more than 2: %.1f to %.1f mm; one may be blocked",
              findings->low_mm, findings->high_mm);
    if (findings->fastest_mm_min > RUNOFF_SUSPECT_MM_MIN)
        doubt(event, RUNOFF_RAIN_SUSPECT, "up to %.1f mm of rain in a minute: more than 4 is rare",
              findings->fastest_mm_min);
    if (findings->refused_mm > 0)
        doubt(event, RUNOFF_RAIN_IMPOSSIBLE,
              "%.1f mm were not counted: they came faster than 8 mm/min", findings->refused_mm);
    if (findings->resets > 0)
        doubt(event, RUNOFF_RAIN_RESET,
              "a rain counter fell back %u times: up to %.1f mm may be missing", findings->resets,
              findings->lost_mm);
    if (findings->gap_mm > 0)
        doubt(event, RUNOFF_RAIN_GAP, "%.1f mm fell while the counter was not read",
              findings->gap_mm);
    if (used < count)
        doubt(event, RUNOFF_GAUGE_OUT, "%zu of %zu rain gauges were read too rarely to be used",
              count - used, count);
}

/* ---- flow ---- */

static bool used_base(const struct runoff *runoff, enum base_kind kind)
{
    return (runoff->main.base_kinds >> kind & 1) != 0;
}

static void doubt_flow(const struct findings *findings)
{
    const struct runoff *runoff = findings->runoff;
    const struct sums *sums = &runoff->main;
    struct runoff_event *event = findings->event;
    if (sums->gap_ms > 0)
        doubt(event, RUNOFF_FLOW_GAP, "flow was not read for %.0f min: %.1f m³ are an estimate",
              ceil(sums->gap_ms / RUNOFF_MINUTE_MS), sums->gap);
    if (sums->blind > WORTH_SAYING * event->rain_m3)
        doubt(event, RUNOFF_CUTOFF,
              "flow below the sensor's cut-off for %.0f min: 0 to %.1f m³ flowed there",
              sums->blind_ms / RUNOFF_MINUTE_MS, 2 * sums->blind);
    if (sums->reverse > REVERSE_WORTH_SAYING * event->rain_m3)
        doubt(event, RUNOFF_REVERSE, "%.1f m³ flowed backwards (backwater?) and count as negative",
              sums->reverse);
    if (sums->below > WORTH_SAYING * event->rain_m3)
        doubt(event, RUNOFF_BELOW_BASE, "flow was below the dry-weather flow by %.1f m³",
              sums->below);
}

static void doubt_base(const struct findings *findings)
{
    const struct runoff *runoff = findings->runoff;
    struct runoff_event *event = findings->event;
    if (used_base(runoff, BASE_NONE) || runoff->main.base_kinds == 0)
        doubt(event, RUNOFF_NO_BASE, "no dry-weather flow is known: no share can be given");
    if (fabs(event->base_flow_m3_s) > 0)
        doubt(event, RUNOFF_BASE_TAKEN, "dry-weather flow of %.4f m³/s (%.1f m³) was taken off",
              event->base_flow_m3_s, event->base_m3);
    if (used_base(runoff, BASE_YOUNG))
        doubt(event, RUNOFF_BASE_YOUNG, "dry-weather flow was learned on fewer than 3 days");
    if (used_base(runoff, BASE_OTHER_HOURS))
        doubt(event, RUNOFF_BASE_OTHER_HOURS,
              "dry-weather flow of these hours is not known: the mean of others was taken");
    if (used_base(runoff, BASE_BEFORE))
        doubt(event, RUNOFF_BASE_BEFORE,
              "no dry-weather flow was learned: the flow before the rain was taken");
}

/* ---- the event ---- */

static void doubt_event(const struct findings *findings)
{
    struct runoff_event *event = findings->event;
    const struct catchment *catchment = findings->runoff->catchment;
    if (event->dry_before_ms < catchment->dry_gap_ms)
        doubt(event, RUNOFF_BEGIN_UNKNOWN,
              "only %.1f h before it are known to be dry: it may have begun earlier",
              fmax(0, (double)event->dry_before_ms / 3600000));
    if (findings->ending == ENDING_NOT_BACK)
        doubt(event, RUNOFF_NOT_BACK,
              "it was ended %.0f h after the last rain: flow was not seen back at base, or rain "
              "not seen at all",
              (double)(findings->runoff->end - findings->runoff->rain_at) / 3600000);
    if (findings->ending == ENDING_TOO_LONG)
        doubt(event, RUNOFF_TOO_LONG, "it was ended after 7 days and went on");
    if (findings->runoff->clock_lost)
        doubt(event, RUNOFF_CLOCK,
              "the clock was not set after a restart in it: how long that "
              "took is not known");
    if (!event->partial)
        return;
    char names[RUNOFF_TEXT_MAX] = "";
    for (size_t i = 0, length = 0; i < catchment->outfall_count && length < sizeof names; i++) {
        int wrote =
            snprintf(names + length, sizeof names - length, " %s", catchment->outfalls[i].name);
        length += wrote > 0 ? (size_t)wrote : 0;
    }
    doubt(event, RUNOFF_PARTIAL,
          "partial: %zu of %u outlets are gauged, the captured share is "
          "at most this:%s",
          catchment->outfall_count, catchment->outfalls_total, names);
}

static double percent(double value)
{
    return value / 100;
}

/* u(C). */
static double uncertainty(const struct findings *findings)
{
    const struct runoff_event *event = findings->event;
    const struct catchment *catchment = findings->runoff->catchment;
    double share = fabs(event->outflow_m3) / event->rain_m3;
    double apart = (findings->high_mm - findings->low_mm) / 2 / event->rain_mm;
    double flow = percent(catchment->flow_error_percent);
    double rain = fmax(percent(catchment->rain_error_percent), apart);
    double area = percent(catchment->area_error_percent);
    double lost = findings->lost_mm / event->rain_mm;
    return share * (sqrt(flow * flow + rain * rain + area * area) + lost) +
           event->not_known_m3 / event->rain_m3;
}

static void judge_share(const struct findings *findings)
{
    struct runoff_event *event = findings->event;
    double target = findings->runoff->catchment->target;
    if (event->grade >= RUNOFF_GRADE_INSUFFICIENT || !(event->rain_m3 > 0))
        return;
    event->has_captured = true;
    event->captured = 1 - event->outflow_m3 / event->rain_m3;
    event->uncertainty = uncertainty(findings);
    if (event->captured < 0 || event->captured > 1 + RUNOFF_RESOLUTION)
        doubt(event, RUNOFF_OUTSIDE, "captured is %.3f: %s", event->captured,
              event->captured < 0 ? "more flowed out than fell" : "more flowed back than out");
    else if (event->captured > 1)
        doubt(event, RUNOFF_ABOUT_ONE, "captured is above 1 by less than a meter's zero can tell");
    if (target > 0 && fabs(event->captured - target) <= event->uncertainty)
        doubt(event, RUNOFF_NOT_JUDGED,
              "captured %.1f %% +- %.1f %% lies about the target of %.1f %%: cannot be judged",
              100 * event->captured, 100 * event->uncertainty, 100 * target);
}

/* Its rain is the design rain or at most 10 % below, after more than 24 h without any. */
static void judge_design(struct runoff_event *event, double design_mm)
{
    if (!(design_mm > 0) || event->rain_mm > design_mm || event->rain_mm < 0.9 * design_mm ||
        event->dry_before_ms <= QUALIFYING_DRY_MS || event->rain_coverage < COVERAGE_GOOD)
        return;
    event->qualifies = true;
    doubt(event, RUNOFF_QUALIFIES,
          "qualifies for the design-rain check: %.1f mm of %.1f mm, dry for %.0f h before",
          event->rain_mm, design_mm, (double)event->dry_before_ms / 3600000);
}

/* What flowed since the end, and what may still flow as slowly as that: it was taken for base. */
static double tail_m3(const struct runoff *runoff)
{
    double excess = 0;
    for (size_t i = 0; i < runoff->catchment->outfall_count; i++) {
        const struct outfall *outfall = &runoff->outfalls[i];
        excess += fmax(0, outfall->excess) +
                  runoff_see(runoff_own(runoff, outfall), outfall->m3_s).half_m3_s;
    }
    return fabs(runoff->after.outflow) + excess * TAIL_S;
}

static void measure_flow(const struct findings *findings)
{
    const struct runoff *runoff = findings->runoff;
    const struct sums *sums = &runoff->main;
    struct runoff_event *event = findings->event;
    double outfalls = (double)runoff->catchment->outfall_count;
    event->flow_coverage = coverage(sums->flow_minutes, sums->minutes);
    event->outflow_m3 = sums->outflow;
    event->gross_m3 = sums->gross;
    event->base_m3 = sums->base;
    event->below_base_m3 = sums->below;
    event->reverse_m3 = sums->reverse;
    event->not_known_m3 = sums->blind + sums->base_half + sums->below + sums->gap + tail_m3(runoff);
    event->base_flow_m3_s = sums->flow_ms > 0 ? sums->base / (sums->flow_ms / outfalls / 1000) : 0;
    if (!sums->has_peak)
        return;
    event->peak_m3_s = sums->peak;
    event->peak_ms = sums->peak_at + runoff->wall_offset;
    if (sums->outflow > 0)
        event->lag_ms = sums->peak_at - runoff->start - (int64_t)findings->centre_ms;
}

/* NAME-20260718T031500Z: no two events of a catchment begin at once. */
static void name_event(struct runoff_event *event)
{
    time_t seconds = (time_t)(event->from_ms / 1000);
    struct tm utc;
    char stamp[24] = "";
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc) == 0)
        stamp[0] = '\0';
    snprintf(event->id, sizeof event->id, "%s-%s", event->catchment, stamp);
}

void runoff_tell(struct runoff *runoff, enum runoff_ending ending)
{
    const struct catchment *catchment = runoff->catchment;
    struct runoff_event *event = &runoff->told;
    struct findings findings = {.runoff = runoff, .event = event, .ending = ending};
    *event = (struct runoff_event){
        .catchment = catchment->name,
        .grade = RUNOFF_GRADE_A,
        .from_ms = runoff->start + runoff->wall_offset,
        .to_ms = runoff->end + runoff->wall_offset,
        .area_ha = catchment->area_ha,
        .partial = catchment->outfalls_total > catchment->outfall_count,
        .dry_before_ms = runoff->start - runoff->dry_since,
    };
    name_event(event);
    choose_gauges(&findings);
    measure_rain(&findings);
    measure_flow(&findings);
    doubt_coverage(event, RUNOFF_RAIN_COVERAGE, "rain", event->rain_coverage);
    doubt_coverage(event, RUNOFF_FLOW_COVERAGE, "flow", event->flow_coverage);
    doubt_rain(&findings);
    doubt_base(&findings);
    doubt_flow(&findings);
    doubt_event(&findings);
    judge_share(&findings);
    judge_design(event, catchment->design_rain_mm);
}

/* What the files runoff*.c share; nobody else's. All times are monotonic ms. */
#ifndef LIFELINE_RUNOFF_PARTS_H
#define LIFELINE_RUNOFF_PARTS_H

#include "gateway/flow/runoff.h"

enum { RUNOFF_HOURS = 24, RUNOFF_MINUTE_MS = 60000 };

/* Where a base flow comes from. */
enum base_kind { BASE_GIVEN, BASE_LEARNED, BASE_YOUNG, BASE_OTHER_HOURS, BASE_BEFORE, BASE_NONE };

struct base {
    enum base_kind kind;
    double m3_s, half_m3_s; /* it is within +- half of that */
};

/* The dry-weather flow of one hour of the day. */
struct base_hour {
    uint32_t days;
    double mean, spread; /* of the hourly means, and how far they lie from it */
    double blind;        /* half the width of what the cut-off hides */
};

/* The hour that is being learned. */
struct dry_hour {
    int64_t number; /* hours since 1970, local */
    double ms, flow_ms, blind_ms;
};

struct gauge {
    bool ever; /* it had a good reading: */
    int64_t at;
    double mm;
    int64_t burst_at; /* rain since then, for about a minute: the rate */
    double burst_mm;
    /* of the event */
    uint64_t minutes; /* bit k: the k-th minute before the newest was covered */
    double depth_mm;
    double moment; /* sum of mm x ms since the start */
    double gap_mm, refused_mm, lost_mm, fastest_mm_min;
    uint32_t resets;
};

struct outfall {
    bool ever;
    int64_t at;
    double m3_s;
    double excess; /* over base, the mean of about a quarter of an hour */
    struct base_hour hours[RUNOFF_HOURS];
    struct dry_hour dry;
    /* of the event */
    uint64_t minutes;
    bool has_before;
    double before; /* the flow when it began */
};

/* What adds up over an event. */
struct sums {
    double gross, outflow, base, below, reverse, blind, base_half, gap; /* m³ */
    double flow_ms, blind_ms, gap_ms;                                   /* of all outfalls */
    uint32_t base_kinds;                                                /* bits of enum base_kind */
    int64_t minutes, flow_minutes, gauge_minutes[CATCHMENT_GAUGES_MAX];
    bool has_peak;
    double peak;
    int64_t peak_at;
};

struct runoff {
    const struct catchment *catchment;
    int64_t now;
    int64_t wall_offset; /* wall = mono + this */
    bool wall_is_true;
    bool resumed; /* loaded; the clock of this boot is not known yet */
    bool event;   /* else dry, or less than RUNOFF_BEGIN_MM so far */
    bool quiet;   /* the flow was at base when it was last known */
    bool clock_lost;
    bool has_rain;   /* in the event: */
    int64_t rain_at; /* the last */
    bool has_dry;
    int64_t dry_since;       /* before the event */
    int64_t start, end;      /* end: of what is known to belong to it */
    int64_t head;            /* the newest minute since the start */
    struct sums main, after; /* up to the end, and since: counts if the event goes on */
    struct gauge gauges[CATCHMENT_GAUGES_MAX];
    struct outfall outfalls[CATCHMENT_OUTFALLS_MAX];
    struct runoff_event told;
};

/* Why an event was ended. */
enum runoff_ending { ENDING_DRY, ENDING_NOT_BACK, ENDING_TOO_LONG };

/* ---- runoff_tally.c ---- */

/* A sensor read every so often may leave out a reading; longer is a gap. */
int64_t runoff_patience(uint32_t every_ms);

/* Begins anew at t: nothing rained, nothing flowed. */
void runoff_restart(struct runoff *runoff, int64_t t);

/* Minutes that are over get judged. */
void runoff_advance(struct runoff *runoff, int64_t now);

/* What is known so far belongs to the event. */
void runoff_extend(struct runoff *runoff, int64_t t);

/* Nothing more comes: the last minutes, and outfalls that were not heard of up to the end. */
void runoff_close(struct runoff *runoff);

/* Minutes between two good readings. */
void runoff_cover(const struct runoff *runoff, uint64_t *minutes, int64_t from, int64_t to);

/* The flow of an outfall between two readings; gap: they are too far apart to know it. */
void runoff_integrate(struct runoff *runoff, struct outfall *outfall, int64_t from,
                      double from_m3_s, int64_t to, double to_m3_s, bool gap);

void runoff_peak(struct runoff *runoff, double m3_s, int64_t t);

/* ---- runoff_base.c ---- */

/* What a reading says of the flow: below the cut-off it is 0 ... cut-off. */
struct seen {
    double m3_s, half_m3_s;
};
struct seen runoff_see(const struct catchment_outfall *own, double m3_s);

struct base runoff_base(const struct runoff *runoff, const struct outfall *outfall, int64_t t);

void runoff_learn(const struct runoff *runoff, struct outfall *outfall, int64_t from,
                  double from_m3_s, int64_t to, double to_m3_s);

/* ---- runoff_report.c ---- */

void runoff_tell(struct runoff *runoff, enum runoff_ending ending);

static inline const struct catchment_outfall *runoff_own(const struct runoff *runoff,
                                                         const struct outfall *outfall)
{
    return &runoff->catchment->outfalls[outfall - runoff->outfalls];
}

#endif

/* Catchments of sponge facilities: where the rain falls, and where what it leaves flows out.
 *
 *     catchments:
 *       - name: park-east
 *         area: 12.5                        # ha
 *         rain: rain-1.rain                 # or a list of several gauges: their mean
 *         outfalls: [ outfall-1.flow, { point: outfall-2.flow, cutoff: 1.2, base_flow: 0 } ]
 *         outfalls_total: 3                 # all outlets it has; more than listed: partial
 *         dry_gap: 6h                       # so long without rain parts two events (MIET)
 *         base_flow: own                    # learned in dry weather; or the flow of each outfall
 *         flow_error: 10                    # %, likewise rain_error: 5, area_error: 3
 *         target: 0.75                      # share of the rain that is to stay
 *         design_rain: 27.3                 # mm
 *
 * cutoff and base_flow are in the unit of the outfall's point; what is read becomes m³/s. */
#ifndef LIFELINE_CATCHMENT_H
#define LIFELINE_CATCHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostics.h"
#include "config/rule.h"

enum {
    CATCHMENT_GAUGES_MAX = 8,
    CATCHMENT_OUTFALLS_MAX = 16,
    CATCHMENT_EVERY_MAX_MS = 15 * 60 * 1000, /* its points are read at least this often */
};

struct catchment_gauge {
    char *name; /* DEVICE.POINT */
    struct rule_point point;
    uint32_t every_ms;
    double to_mm;   /* a reading x this = mm */
    double wrap_mm; /* the counter falls back to 0 there; 0 = it never does */
};

struct catchment_outfall {
    char *name; /* DEVICE.POINT */
    struct rule_point point;
    uint32_t every_ms;
    double to_m3_s;     /* a reading x this = m³/s */
    double cutoff_m3_s; /* below it the sensor sees nothing: the flow is somewhere in 0 ... this */
    bool base_is_own;   /* the dry-weather flow is learned; else it is the one below */
    double base_m3_s;
};

struct catchment {
    struct place place;
    char *name;
    double area_ha;
    struct catchment_gauge *gauges;
    size_t gauge_count;
    struct catchment_outfall *outfalls;
    size_t outfall_count;
    uint16_t outfalls_total; /* at least outfall_count, which it is when not given */
    uint32_t dry_gap_ms;
    double flow_error_percent, rain_error_percent, area_error_percent;
    double target;         /* fraction; 0 = not given */
    double design_rain_mm; /* 0 = not given */
};

/* Two that say the same, wherever they say it. */
bool catchment_same(const struct catchment *a, const struct catchment *b);

#endif

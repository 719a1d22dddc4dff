/* Sectors, qualities, clock states, gap reasons and levels: one table for everybody.
 *
 * The numbers are those of lifeline.proto (a static assertion in message.c holds them together);
 * the names are what stands in topics, in the configuration and in JSON. */
#ifndef LIFELINE_NAMES_H
#define LIFELINE_NAMES_H

#include <stdbool.h>

enum sector {
    SECTOR_UNSPECIFIED = 0,
    SECTOR_GAS = 1,          /* 燃气 */
    SECTOR_WATER = 2,        /* 供水 */
    SECTOR_DRAINAGE = 3,     /* 排水, pump stations too */
    SECTOR_HEAT = 4,         /* 供热 */
    SECTOR_MANHOLE = 5,      /* 窨井盖 */
    SECTOR_WATERLOGGING = 6, /* 内涝积水, river and channel stage too */
    SECTOR_SPONGE = 7,       /* 海绵设施: rain, outfall, runoff */
    SECTOR_BRIDGE = 8,       /* 桥梁 */
    SECTOR_TUNNEL = 9,       /* 隧道 */
    SECTOR_CORRIDOR = 10,    /* 地下综合管廊 */
    SECTOR_COUNT = 11,
};

/* Below 16 the value counts; from 16 on it is to be ignored. */
enum quality {
    QUALITY_GOOD = 0,
    QUALITY_UNCERTAIN = 1,
    QUALITY_SPIKE = 2,
    QUALITY_WARMUP = 3,
    QUALITY_CALIBRATING = 4,
    QUALITY_OUT_OF_RANGE = 16,
    QUALITY_INVALID = 17,
    QUALITY_SENSOR_FAULT = 18,
    QUALITY_TIMEOUT = 19,
    QUALITY_EXCEPTION = 20,
    QUALITY_GARBLED = 21,
    QUALITY_LINK = 22,
    QUALITY_STALE = 23,
};

enum clock_state {
    CLOCK_STATE_UNSPECIFIED = 0,
    CLOCK_STATE_SYNCED = 1,
    CLOCK_STATE_RTC = 2,
    CLOCK_STATE_HOLDOVER = 3,
    CLOCK_STATE_UNSET = 4,
    CLOCK_STATE_CORRECTED = 5,
};

enum gap_reason {
    GAP_REASON_UNSPECIFIED = 0,
    GAP_REASON_RETENTION = 1,
    GAP_REASON_QUOTA = 2,
    GAP_REASON_CRASH = 3,
    GAP_REASON_OVERLOAD = 4,
    GAP_REASON_CORRUPT = 5,
    GAP_REASON_REFUSED = 6,
    GAP_REASON_DISK = 7,
};

/* Of an alarm: 1 is the highest. */
enum level {
    LEVEL_NONE = 0,
    LEVEL_RED = 1,    /* 红 */
    LEVEL_ORANGE = 2, /* 橙 */
    LEVEL_YELLOW = 3, /* 黄 */
    LEVEL_BLUE = 4,   /* 蓝 */
    LEVEL_COUNT = 5,
};

enum alarm_kind {
    ALARM_KIND_UNSPECIFIED = 0,
    ALARM_KIND_THRESHOLD = 1,
    ALARM_KIND_RATE = 2,
    ALARM_KIND_STATE = 3,
    ALARM_KIND_DIAGNOSIS = 4,
    ALARM_KIND_DEVICE_FAULT = 5, /* of the sensor, its line or its power: no public alarm */
};

/* What happened to an alarm in one step of its life. */
enum alarm_status {
    ALARM_STATUS_UNSPECIFIED = 0,
    ALARM_STATUS_RAISED = 1,
    ALARM_STATUS_ESCALATED = 2,
    ALARM_STATUS_EASED = 3,
    ALARM_STATUS_ACKED = 4,
    ALARM_STATUS_CLEARED = 5,
    ALARM_STATUS_SUPPRESSED = 6,
};

/* The lower-case name as it stands in topics, configuration and JSON ("waterlogging",
 * "out_of_range", "synced"); "unspecified" or "unknown" for a number without one. Never
 * NULL. */
const char *names_sector(enum sector sector);
const char *names_quality(enum quality quality);
const char *names_clock_state(enum clock_state state);
const char *names_level(enum level level); /* "red", "orange", "yellow", "blue", "none" */
const char *names_alarm_kind(enum alarm_kind kind);
const char *names_alarm_status(enum alarm_status status);

/* The sector or quality of that name; false when there is none. */
bool names_sector_parse(const char *name, enum sector *out);
bool names_quality_parse(const char *name, enum quality *out);

/* True when the value beside this quality counts. */
static inline bool names_quality_usable(enum quality quality)
{
    return quality < QUALITY_OUT_OF_RANGE;
}

#endif

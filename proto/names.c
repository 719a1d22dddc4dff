/* The names of the wire's enumerations, for topics, configuration and JSON.
 *
 * Pure functions on constant data: any thread may call them. Each table is a switch without
 * default, so that the compiler finds a value without a name; parsing walks the same switch, so the
 * two directions cannot disagree. Numbers from outside the enumeration get a name too, never NULL.
 */
#include "proto/names.h"

#include <string.h>

const char *names_sector(enum sector sector)
{
    switch (sector) {
    case SECTOR_GAS:
        return "gas";
    case SECTOR_WATER:
        return "water";
    case SECTOR_DRAINAGE:
        return "drainage";
    case SECTOR_HEAT:
        return "heat";
    case SECTOR_MANHOLE:
        return "manhole";
    case SECTOR_WATERLOGGING:
        return "waterlogging";
    case SECTOR_SPONGE:
        return "sponge";
    case SECTOR_BRIDGE:
        return "bridge";
    case SECTOR_TUNNEL:
        return "tunnel";
    case SECTOR_CORRIDOR:
        return "corridor";
    case SECTOR_UNSPECIFIED:
    case SECTOR_COUNT:
        break;
    }
    return "unspecified";
}

const char *names_quality(enum quality quality)
{
    switch (quality) {
    case QUALITY_GOOD:
        return "good";
    case QUALITY_UNCERTAIN:
        return "uncertain";
    case QUALITY_SPIKE:
        return "spike";
    case QUALITY_WARMUP:
        return "warmup";
    case QUALITY_CALIBRATING:
        return "calibrating";
    case QUALITY_OUT_OF_RANGE:
        return "out_of_range";
    case QUALITY_INVALID:
        return "invalid";
    case QUALITY_SENSOR_FAULT:
        return "sensor_fault";
    case QUALITY_TIMEOUT:
        return "timeout";
    case QUALITY_EXCEPTION:
        return "exception";
    case QUALITY_GARBLED:
        return "garbled";
    case QUALITY_LINK:
        return "link";
    case QUALITY_STALE:
        return "stale";
    }
    return "unknown";
}

const char *names_clock_state(enum clock_state state)
{
    switch (state) {
    case CLOCK_STATE_SYNCED:
        return "synced";
    case CLOCK_STATE_RTC:
        return "rtc";
    case CLOCK_STATE_HOLDOVER:
        return "holdover";
    case CLOCK_STATE_UNSET:
        return "unset";
    case CLOCK_STATE_CORRECTED:
        return "corrected";
    case CLOCK_STATE_UNSPECIFIED:
        break;
    }
    return "unspecified";
}

const char *names_level(enum level level)
{
    switch (level) {
    case LEVEL_RED:
        return "red";
    case LEVEL_ORANGE:
        return "orange";
    case LEVEL_YELLOW:
        return "yellow";
    case LEVEL_BLUE:
        return "blue";
    case LEVEL_NONE:
    case LEVEL_COUNT:
        break;
    }
    return "none";
}

const char *names_alarm_kind(enum alarm_kind kind)
{
    switch (kind) {
    case ALARM_KIND_THRESHOLD:
        return "threshold";
    case ALARM_KIND_RATE:
        return "rate";
    case ALARM_KIND_STATE:
        return "state";
    case ALARM_KIND_DIAGNOSIS:
        return "diagnosis";
    case ALARM_KIND_DEVICE_FAULT:
        return "device_fault";
    case ALARM_KIND_UNSPECIFIED:
        break;
    }
    return "unspecified";
}

const char *names_alarm_status(enum alarm_status status)
{
    switch (status) {
    case ALARM_STATUS_RAISED:
        return "raised";
    case ALARM_STATUS_ESCALATED:
        return "escalated";
    case ALARM_STATUS_EASED:
        return "eased";
    case ALARM_STATUS_ACKED:
        return "acked";
    case ALARM_STATUS_CLEARED:
        return "cleared";
    case ALARM_STATUS_SUPPRESSED:
        return "suppressed";
    case ALARM_STATUS_UNSPECIFIED:
        break;
    }
    return "unspecified";
}

bool names_sector_parse(const char *name, enum sector *out)
{
    for (int i = SECTOR_UNSPECIFIED + 1; i < SECTOR_COUNT; i++) {
        if (strcmp(name, names_sector((enum sector)i)) == 0) {
            *out = (enum sector)i;
            return true;
        }
    }
    return false;
}

bool names_quality_parse(const char *name, enum quality *out)
{
    if (strcmp(name, "unknown") == 0)
        return false;
    for (int i = QUALITY_GOOD; i <= QUALITY_STALE; i++) {
        if (strcmp(name, names_quality((enum quality)i)) == 0) {
            *out = (enum quality)i;
            return true;
        }
    }
    return false;
}

/* Alarms and reports as people get them, for a decoder that is not ours.
 *
 * Runs in wire_dump alone. What each message says stands here and, written anew by hand, in
 * check_events.py: numbers that are easy to mix up (times, value against threshold against peak)
 * are all different. */
#include "tests/replay/wire_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/active.h"
#include "proto/alarm.h"
#include "proto/report.h"

enum { LIST_MAX = 4096 };

static void print(const char *name, const uint8_t *bytes, size_t length)
{
    if (!length)
        exit(3);
    printf("%s ", name);
    for (size_t i = 0; i < length; i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

static struct alarm_event flooded(void)
{
    struct alarm_event event = {
        .id = "01K0D8X4M0TESTTESTTESTTEST",
        .step = 2,
        .gateway = "gw-140502-0001",
        .region = "140502",
        .sector = SECTOR_WATERLOGGING,
        .kind = ALARM_KIND_THRESHOLD,
        .rule = "flooded",
        .key = "ponding-07.depth/flooded",
        .level = LEVEL_ORANGE,
        .previous_level = LEVEL_YELLOW,
        .status = ALARM_STATUS_ESCALATED,
        .device = 7,
        .point = 41,
        .device_name = "ponding-07",
        .quantity = "water_depth",
        .unit = "mm",
        .asset = "1405020301000007",
        .grid = "140502001003012",
        .has_position = true,
        .longitude = 112.8513,
        .latitude = 35.4907,
        .crs = 1,
        .value = 412,
        .threshold = 400,
        .threshold_source = "GB 51222-2017 3.2",
        .peak = 415,
        .peak_ms = 1752750010250,
        .first_ms = 1752749890250,
        .raised_ms = 1752749900250,
        .at_ms = 1752750020250,
        .clock = CLOCK_STATE_SYNCED,
        .evidence_count = 5,
        .text_zh = "泽州路积水点 积水深度 412 mm，达到橙色 400 mm，升为橙色",
        .text_en = "Zezhou Rd ponding point: water depth 412 mm, orange from 400 mm; now orange",
        .confidence = 0,
        .hint = "",
        .actor = "",
        .note = "",
    };
    for (size_t i = 0; i < event.evidence_count; i++)
        event.evidence[i] =
            (struct alarm_evidence){41, "ponding-07.depth", 1752749980250 + 10000 * (int64_t)i,
                                    372 + 10 * (double)i, QUALITY_GOOD};
    return event;
}

static struct alarm_event hinted(void)
{
    struct alarm_event event = flooded();
    event.sector = SECTOR_GAS;
    event.kind = ALARM_KIND_DIAGNOSIS;
    event.status = ALARM_STATUS_CLEARED;
    event.level = LEVEL_NONE;
    event.step = 9;
    event.cleared_ms = 1752750030250;
    event.clock = CLOCK_STATE_CORRECTED;
    event.crs = 2;
    event.confidence = 70;
    event.hint = "可能是沼气 / may be biogas";
    event.actor = "王工";
    event.note = "已派人";
    event.evidence_count = 1;
    event.evidence[0] = (struct alarm_evidence){42, "gas-3.ch4", -1, -0.5, QUALITY_UNCERTAIN};
    return event;
}

static struct alarm_event bare(void)
{
    return (struct alarm_event){
        .id = "01K0D8X4M0BARE000000000000",
        .step = 1,
        .gateway = "",
        .region = "",
        .sector = SECTOR_CORRIDOR,
        .kind = ALARM_KIND_DEVICE_FAULT,
        .rule = "dead",
        .key = "",
        .level = LEVEL_BLUE,
        .status = ALARM_STATUS_RAISED,
        .device_name = "",
        .quantity = "",
        .unit = "",
        .asset = "",
        .grid = "",
        .threshold_source = "",
        .text_zh = "",
        .text_en = "",
        .hint = "",
        .actor = "",
        .note = "",
    };
}

static void dump_active(const uint8_t *const events[], const size_t lengths[], size_t count)
{
    uint8_t bytes[LIST_MAX];
    struct active active;
    if (!active_begin(&active, bytes, sizeof bytes, "gw-140502-0001", SECTOR_WATERLOGGING,
                      1752750021000))
        exit(3);
    for (size_t i = 0; i < count; i++)
        active_add(&active, events[i], lengths[i]);
    print("active_alarms", bytes, active_end(&active));
    /* room for the first one alone */
    if (!active_begin(&active, bytes, 190, "gw", SECTOR_GAS, 5))
        exit(3);
    for (size_t i = 0; i < count; i++)
        active_add(&active, events[i], lengths[i]);
    print("active_omitted", bytes, active_end(&active));
    if (!active_begin(&active, bytes, sizeof bytes, "gw", SECTOR_HEAT, 6))
        exit(3);
    print("active_none", bytes, active_end(&active));
}

static void dump_report(void)
{
    const struct report_runoff report = {
        .gateway = "gw-140502-0001",
        .sector = SECTOR_SPONGE,
        .at_ms = 1784377000000,
        .catchment = "park",
        .id = "park-20260718T031500Z",
        .grade = REPORT_GRADE_B,
        .from_ms = 1784344500000,
        .to_ms = 1784373300000,
        .rain_mm = 31.5,
        .area_ha = 12.25,
        .rain_m3 = 3858.75,
        .outflow_m3 = 771.75,
        .base_flow_m3_s = 0.004,
        .captured = 0.8,
        .uncertainty = 0.03,
        .rain_coverage = 1,
        .flow_coverage = 0.97,
        .peak_m3_s = 0.35,
        .peak_ms = 1784350000000,
        .lag_ms = 1500000,
        .doubts = {"0.4 m3 flowed back", "雨量计少一个"},
        .doubt_count = 2,
        .partial = true,
    };
    uint8_t bytes[REPORT_MAX];
    print("report_runoff", bytes, report_pack_runoff(&report, bytes, sizeof bytes));
}

void wire_events_dump(void)
{
    static uint8_t bytes[3][ALARM_EVENT_MAX];
    static const char *const names[] = {"alarm_flooded", "alarm_hinted", "alarm_bare"};
    const struct alarm_event events[] = {flooded(), hinted(), bare()};
    const uint8_t *rows[3];
    size_t lengths[3];
    for (size_t i = 0; i < 3; i++) {
        rows[i] = bytes[i];
        lengths[i] = alarm_pack(&events[i], bytes[i], sizeof bytes[i]);
        print(names[i], bytes[i], lengths[i]);
    }
    dump_active(rows, lengths, 3);
    dump_report();
}

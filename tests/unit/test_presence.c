/* GatewayState as an uplink packs it: every counter in its field, the largest one fits, and which
 * changes are worth a message.
 *
 * The settings are made by hand; the bytes are read back with the generated decoder. (Python's
 * reads them in the system tests.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/uplink/presence.h"
#include "lifeline/v1/lifeline.pb-c.h"

/* What the configuration allows, and the room that an uplink has for the whole. */
enum { LINES = 256, UPLINKS = 16, NAME = 32, ROOM = 64 << 10 };

static char names[LINES][NAME + 1];
static char region[] = "140502", id[NAME + 1], long_name[NAME * 4 + 1];
static struct settings_line lines[LINES];
static struct settings_uplink uplinks[UPLINKS];
static struct store_backlog backlogs[UPLINKS];
static struct presence_line states[LINES];
static struct settings settings;
static struct presence presence;
static uint8_t bytes[ROOM];

static int setup(void **state)
{
    (void)state;
    memset(id, 'g', NAME);
    memset(long_name, 'n', sizeof long_name - 1);
    memset(states, 0, sizeof states);
    memset(backlogs, 0, sizeof backlogs);
    for (size_t l = 0; l < LINES; l++) {
        snprintf(names[l], sizeof names[l], "line-%027zu", l);
        lines[l].name = names[l];
    }
    for (size_t u = 0; u < UPLINKS; u++)
        uplinks[u].name = names[u];
    settings = (struct settings){
        .gateway = {.id = id, .region = region, .name = long_name},
        .lines = lines,
        .line_count = 1,
        .uplinks = uplinks,
        .uplink_count = 1,
    };
    presence = (struct presence){.settings = &settings, .backlogs = backlogs, .lines = states};
    return 0;
}

static Lifeline__V1__GatewayState *packed(size_t room)
{
    size_t length = presence_pack(&presence, 0, true, bytes, room);
    return length ? lifeline__v1__gateway_state__unpack(NULL, length, bytes) : NULL;
}

static void every_counter_has_its_field(void **state)
{
    (void)state;
    states[0] = (struct presence_line){
        .load_percent = 2,
        .devices = 3,
        .silent = 4,
        .requests = 5,
        .good = 6,
        .timeout = 7,
        .exception = 8,
        .garbled = 9,
        .late = 10,
        .foreign = 11,
        .link = 12,
        .round_trip_p50_us = 13,
        .round_trip_p99_us = 14,
        .slipped = 15,
        .slipping = 16,
    };
    Lifeline__V1__GatewayState *got = packed(ROOM);
    assert_non_null(got);
    assert_int_equal(got->n_lines, 1);
    /* The numbers above are those of the fields on the wire. */
    const ProtobufCMessage *line = &got->lines[0]->base;
    assert_string_equal(got->lines[0]->name, names[0]);
    assert_int_equal(line->descriptor->n_fields, 16);
    for (unsigned f = 1; f < line->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &line->descriptor->fields[f];
        const void *at = (const uint8_t *)line + field->offset;
        uint64_t number =
            field->type == PROTOBUF_C_TYPE_UINT32 ? *(const uint32_t *)at : *(const uint64_t *)at;
        assert_int_equal(number, field->id);
    }
    lifeline__v1__gateway_state__free_unpacked(got, NULL);
}

/* Everything that the configuration allows, every number as long as it can be. */
static void the_largest_state_fits(void **state)
{
    (void)state;
    settings.line_count = LINES;
    settings.uplink_count = UPLINKS;
    memset(states, 0xff, sizeof states);
    memset(&presence.store, 0xff, sizeof presence.store);
    presence.store.mode = STORE_MODE_FULL;
    for (size_t u = 0; u < UPLINKS; u++) {
        backlogs[u].readings = UINT64_MAX;
        backlogs[u].oldest_ms = -1;
        for (int sector = 1; sector < SECTOR_COUNT; sector++) {
            backlogs[u].refused[sector] = true;
            backlogs[u].ends[sector] = (struct store_end){UINT64_MAX, UINT64_MAX};
            backlogs[u].previous_ends[sector] = (struct store_end){UINT64_MAX, UINT64_MAX};
        }
    }
    Lifeline__V1__GatewayState *got = packed(ROOM);
    assert_non_null(got);
    assert_int_equal(got->n_lines, LINES);
    assert_int_equal(got->n_uplinks, UPLINKS);
    assert_int_equal(got->n_ends, SECTOR_COUNT - 1);
    assert_true(got->lines[LINES - 1]->slipped == UINT64_MAX);
    lifeline__v1__gateway_state__free_unpacked(got, NULL);
}

static void what_does_not_fit_is_nothing(void **state)
{
    (void)state;
    size_t length = presence_pack(&presence, 0, true, bytes, ROOM);
    assert_true(length > 0);
    assert_int_equal(presence_pack(&presence, 0, true, bytes, length / 2), 0);
}

/* A counter that moves must not cost a message every second. */
static void counters_are_no_news(void **state)
{
    (void)state;
    uint64_t before = presence_digest(&presence);
    struct presence_line *line = &states[0];
    uint64_t *counters[] = {&line->requests,  &line->good,    &line->timeout,
                            &line->exception, &line->garbled, &line->link,
                            &line->late,      &line->foreign, &line->slipped};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        ++*counters[i];
        assert_true(presence_digest(&presence) == before);
    }
    line->load_percent = line->round_trip_p50_us = line->round_trip_p99_us = 99;
    presence.store.bytes = presence.store.commits = presence.store.readings = 12345;
    backlogs[0].readings = 77;
    assert_true(presence_digest(&presence) == before);
}

static void faults_are_news(void **state)
{
    (void)state;
    settings.line_count = 2;
    uint64_t fine = presence_digest(&presence);
    states[1].silent = 1;
    uint64_t silent = presence_digest(&presence);
    assert_true(silent != fine);
    states[1].slipping = 1;
    uint64_t slipping = presence_digest(&presence);
    assert_true(slipping != silent);
    states[1].slipping = 2; /* how many changes every second near the limit */
    assert_true(presence_digest(&presence) == slipping);
    states[1].slipping = 0;
    assert_true(presence_digest(&presence) == silent);
    states[1].silent = 0;
    states[0].slipping = 1;
    uint64_t other = presence_digest(&presence);
    assert_true(other != fine && other != slipping);
    presence.store.mode = STORE_MODE_MEMORY;
    assert_true(presence_digest(&presence) != other);
    backlogs[0].refused[SECTOR_GAS] = true;
    assert_true(presence_digest(&presence) != other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_counter_has_its_field, setup),
        cmocka_unit_test_setup(the_largest_state_fits, setup),
        cmocka_unit_test_setup(what_does_not_fit_is_nothing, setup),
        cmocka_unit_test_setup(counters_are_no_news, setup),
        cmocka_unit_test_setup(faults_are_news, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

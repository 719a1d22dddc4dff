/* alarm.c: an event to its bytes and back, every field; texts that are too long; the longest event
 * that there can be; what is refused of what comes from a disk or a broker.
 *
 * The bytes themselves are held against another decoder in tests/replay/wire. */
#include "proto/alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

static struct alarm_event whole(void)
{
    struct alarm_event event = {
        .id = "01ARYZ6S410000000000000000",
        .step = 3,
        .gateway = "gw-1",
        .region = "140502",
        .sector = SECTOR_GAS,
        .kind = ALARM_KIND_RATE,
        .rule = "surge",
        .key = "gas-3.ch4/surge",
        .level = LEVEL_ORANGE,
        .previous_level = LEVEL_BLUE,
        .status = ALARM_STATUS_ESCALATED,
        .device = 3,
        .point = 12,
        .device_name = "gas-3",
        .quantity = "ch4",
        .unit = "%LEL",
        .asset = "1405020301000007",
        .grid = "140502001003012",
        .has_position = true,
        .longitude = 112.85,
        .latitude = 35.49,
        .crs = 1,
        .value = 21.5,
        .threshold = 10,
        .threshold_source = "CJJ/T 146",
        .peak = 22,
        .peak_ms = 101,
        .first_ms = 102,
        .raised_ms = 103,
        .at_ms = 104,
        .cleared_ms = 105,
        .clock = CLOCK_STATE_RTC,
        .evidence_count = ALARM_EVIDENCE_MAX,
        .text_zh = "燃气井",
        .text_en = "gas well",
        .confidence = 60,
        .hint = "biogas?",
        .actor = "王工",
        .note = "on my way",
    };
    for (size_t i = 0; i < ALARM_EVIDENCE_MAX; i++)
        event.evidence[i] = (struct alarm_evidence){(uint32_t)i, "gas-3.ch4", (int64_t)i * 10,
                                                    (double)i / 2, QUALITY_UNCERTAIN};
    return event;
}

static void assert_same_texts(const struct alarm_event *a, const struct alarm_event *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->gateway, b->gateway);
    assert_string_equal(a->region, b->region);
    assert_string_equal(a->rule, b->rule);
    assert_string_equal(a->key, b->key);
    assert_string_equal(a->device_name, b->device_name);
    assert_string_equal(a->quantity, b->quantity);
    assert_string_equal(a->unit, b->unit);
    assert_string_equal(a->asset, b->asset);
    assert_string_equal(a->grid, b->grid);
    assert_string_equal(a->threshold_source, b->threshold_source);
    assert_string_equal(a->text_zh, b->text_zh);
    assert_string_equal(a->text_en, b->text_en);
    assert_string_equal(a->hint, b->hint);
    assert_string_equal(a->actor, b->actor);
    assert_string_equal(a->note, b->note);
}

static void assert_same_numbers(const struct alarm_event *a, const struct alarm_event *b)
{
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->sector, b->sector);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->previous_level, b->previous_level);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->device, b->device);
    assert_int_equal(a->point, b->point);
    assert_int_equal(a->has_position, b->has_position);
    assert_true(a->longitude == b->longitude && a->latitude == b->latitude);
    assert_int_equal(a->crs, b->crs);
    assert_true(a->value == b->value && a->threshold == b->threshold && a->peak == b->peak);
    assert_int_equal(a->peak_ms, b->peak_ms);
    assert_int_equal(a->first_ms, b->first_ms);
    assert_int_equal(a->raised_ms, b->raised_ms);
    assert_int_equal(a->at_ms, b->at_ms);
    assert_int_equal(a->cleared_ms, b->cleared_ms);
    assert_int_equal(a->clock, b->clock);
    assert_int_equal(a->confidence, b->confidence);
}

static void assert_same_evidence(const struct alarm_event *a, const struct alarm_event *b)
{
    assert_int_equal(a->evidence_count, b->evidence_count);
    for (size_t i = 0; i < a->evidence_count; i++) {
        assert_int_equal(a->evidence[i].point, b->evidence[i].point);
        assert_string_equal(a->evidence[i].name, b->evidence[i].name);
        assert_int_equal(a->evidence[i].at_ms, b->evidence[i].at_ms);
        assert_true(a->evidence[i].value == b->evidence[i].value);
        assert_int_equal(a->evidence[i].quality, b->evidence[i].quality);
    }
}

static void assert_there_and_back(const struct alarm_event *event)
{
    uint8_t bytes[ALARM_EVENT_MAX];
    struct alarm_event back;
    size_t length = alarm_pack(event, bytes, sizeof bytes);
    assert_true(length > 0);
    struct alarm_memory *memory = alarm_unpack(bytes, length, &back);
    assert_non_null(memory);
    assert_same_texts(event, &back);
    assert_same_numbers(event, &back);
    assert_same_evidence(event, &back);
    alarm_free(memory);
}

static void there_and_back(void **state)
{
    (void)state;
    struct alarm_event event = whole();
    assert_there_and_back(&event);
    event.has_position = false;
    event.longitude = event.latitude = event.crs = 0;
    event.evidence_count = 0;
    event.status = ALARM_STATUS_CLEARED;
    event.level = LEVEL_NONE;
    assert_there_and_back(&event);
    alarm_free(NULL);
}

static void needs_room(void **state)
{
    (void)state;
    const struct alarm_event event = whole();
    uint8_t bytes[ALARM_EVENT_MAX];
    size_t length = alarm_pack(&event, bytes, sizeof bytes);
    memset(bytes, 0xaa, sizeof bytes);
    assert_int_equal(alarm_pack(&event, bytes, length - 1), 0);
    assert_int_equal(bytes[0], 0xaa);
    assert_int_equal(alarm_pack(&event, bytes, length), length);
}

/* All that the gateway can fill an event with: names and ids at their longest, and each text. */
static void the_longest_event_fits(void **state)
{
    (void)state;
    struct alarm_event event = whole();
    static char text[1000], name[200], id[33], person[64], note[128];
    memset(text, 't', sizeof text - 1);
    memset(name, 'n', sizeof name - 1);
    memset(id, 'i', sizeof id - 1);
    memset(person, 'p', sizeof person - 1);
    memset(note, 'o', sizeof note - 1);
    event.gateway = event.rule = id;
    event.key = name;
    event.device_name = event.quantity = event.unit = person;
    event.text_zh = event.text_en = event.hint = event.threshold_source = text;
    event.actor = person;
    event.note = note;
    for (size_t i = 0; i < event.evidence_count; i++)
        event.evidence[i].name = name;
    uint8_t bytes[ALARM_EVENT_MAX];
    struct alarm_event back;
    size_t length = alarm_pack(&event, bytes, sizeof bytes);
    assert_in_range(length, 3000, ALARM_EVENT_MAX);
    struct alarm_memory *memory = alarm_unpack(bytes, length, &back);
    assert_non_null(memory);
    assert_int_equal(strlen(back.text_zh), ALARM_TEXT_MAX - 1);
    assert_int_equal(strlen(back.text_en), ALARM_TEXT_MAX - 1);
    assert_int_equal(strlen(back.hint), ALARM_TEXT_MAX - 1);
    assert_int_equal(strlen(back.threshold_source), ALARM_TEXT_MAX - 1);
    assert_string_equal(back.note, note);
    alarm_free(memory);
    event.asset = event.grid = event.region = text; /* which it never does */
    assert_int_equal(alarm_pack(&event, bytes, sizeof bytes), 0);
}

static void a_text_is_cut_between_characters_and_made_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *cut;
    } cases[] = {
        {"abc", 4, "abc"},
        {"abcd", 4, "abc"},
        {"", 1, ""},
        {"abc", 1, ""},
        {"积水", 7, "积水"},
        {"积水", 6, "积"},
        {"积水", 5, "积"},
        {"积水", 4, "积"},
        {"积水", 3, ""},
        {"a\xf0\x9f\x9a\xa8", 5, "a"},
        {"é", 2, ""},
        {"积\xe6\xb0", 8, "积??"}, /* somebody else has cut it */
        {"\xe6", 8, "?"},
        {"a\xf0\x9f\x9a", 8, "a???"},
        {"\xff积\xffz", 7, "?积?z"},
        {"\xff积\xffz", 4, "?"},
        {"\xb0", 8, "?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[8] = "#######";
        alarm_cut(out, cases[i].size, cases[i].text);
        assert_string_equal(out, cases[i].cut);
    }
}

static void other_text_than_utf8_is_not_packed(void **state)
{
    (void)state;
    uint8_t bytes[ALARM_EVENT_MAX];
    struct alarm_event event = whole();
    event.text_zh = event.hint = "\xb2\xce"; /* these are mended: an alarm has to go out */
    assert_true(alarm_pack(&event, bytes, sizeof bytes) > 0);
    event.note = "\xb2\xce";
    assert_int_equal(alarm_pack(&event, bytes, sizeof bytes), 0);
    event = whole();
    event.evidence[7].name = "\xff";
    assert_int_equal(alarm_pack(&event, bytes, sizeof bytes), 0);
}

/* ---- what none of ours says ---- */

struct strange {
    const char *id;
    uint32_t step, level, previous_level;
    int sector, kind, status;
    size_t evidence;
};

static bool is_taken(const struct strange *strange)
{
    uint8_t bytes[ALARM_EVENT_MAX];
    Lifeline__V1__AlarmEvent message = LIFELINE__V1__ALARM_EVENT__INIT;
    Lifeline__V1__Evidence one = LIFELINE__V1__EVIDENCE__INIT, *many[ALARM_EVIDENCE_MAX + 1];
    for (size_t i = 0; i < strange->evidence; i++)
        many[i] = &one;
    message.id = (char *)(uintptr_t)strange->id;
    message.step = strange->step;
    message.level = strange->level;
    message.previous_level = strange->previous_level;
    message.sector = (Lifeline__V1__Sector)strange->sector;
    message.kind = (Lifeline__V1__AlarmKind)strange->kind;
    message.status = (Lifeline__V1__AlarmStatus)strange->status;
    message.evidence = many;
    message.n_evidence = strange->evidence;
    struct alarm_event out, before;
    memset(&out, 0x5a, sizeof out);
    before = out;
    size_t length = message_pack(&message.base, bytes, sizeof bytes);
    struct alarm_memory *memory = alarm_unpack(bytes, length, &out);
    if (!memory)
        assert_memory_equal(&out, &before, sizeof out);
    alarm_free(memory);
    return memory != NULL;
}

static void what_none_of_ours_says_is_refused(void **state)
{
    (void)state;
    const char *id = "01ARYZ6S410000000000000000";
    static const struct strange refused[] = {
        {"", 1, 1, 0, 1, 1, 1, 0},
        {"01ARYZ6S41000000000000000", 1, 1, 0, 1, 1, 1, 0},
        {"01ARYZ6S410000000000000000000000000000", 1, 1, 0, 1, 1, 1, 0},
        {"01aryz6s410000000000000000", 1, 1, 0, 1, 1, 1, 0},
    };
    static const struct strange numbers[] = {
        {NULL, 0, 1, 0, 1, 1, 1, 0},  {NULL, 1, 5, 0, 1, 1, 1, 0},   {NULL, 1, 257, 0, 1, 1, 1, 0},
        {NULL, 1, 1, 5, 1, 1, 1, 0},  {NULL, 1, 1, 256, 1, 1, 1, 0}, {NULL, 1, 1, 0, 0, 1, 1, 0},
        {NULL, 1, 1, 0, 11, 1, 1, 0}, {NULL, 1, 1, 0, -1, 1, 1, 0},  {NULL, 1, 1, 0, 1, 0, 1, 0},
        {NULL, 1, 1, 0, 1, 6, 1, 0},  {NULL, 1, 1, 0, 1, -1, 1, 0},  {NULL, 1, 1, 0, 1, 1, 0, 0},
        {NULL, 1, 1, 0, 1, 1, 7, 0},  {NULL, 1, 1, 0, 1, 1, -1, 0},  {NULL, 1, 1, 0, 1, 1, 1, 9},
        {NULL, 1, 0, 0, 1, 1, 1, 0}, /* RAISED to no level */
        {NULL, 1, 1, 0, 1, 1, 5, 0}, /* CLEARED, and has one */
    };
    assert_true(is_taken(&(struct strange){id, 1, 4, 4, 10, 5, 6, 8}));
    assert_true(is_taken(&(struct strange){id, UINT32_MAX, 0, 1, 1, 1, 5, 0}));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(is_taken(&refused[i]));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct strange strange = numbers[i];
        strange.id = id;
        assert_false(is_taken(&strange));
    }
}

static void garbage_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ALARM_EVENT_MAX + 1] = {0};
    const struct alarm_event event = whole();
    struct alarm_event out;
    size_t length = alarm_pack(&event, bytes, sizeof bytes);
    assert_null(alarm_unpack(bytes, 0, &out));
    assert_null(alarm_unpack(bytes, length - 1, &out));
    assert_null(alarm_unpack(bytes, sizeof bytes, &out));
    bytes[2] = 0xff; /* in the id */
    assert_null(alarm_unpack(bytes, length, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(needs_room),
        cmocka_unit_test(the_longest_event_fits),
        cmocka_unit_test(a_text_is_cut_between_characters_and_made_whole),
        cmocka_unit_test(other_text_than_utf8_is_not_packed),
        cmocka_unit_test(what_none_of_ours_says_is_refused),
        cmocka_unit_test(garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

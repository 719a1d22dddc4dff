/* Topics, against the table of the wire.
 *
 * Each kind is built as the table writes it and carries its retained flag and message. What has no
 * place in a topic is refused: a broker would take it for something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/topic.h"

static const char root[] = "lifeline/v1";

#define BASE "lifeline/v1/140502/gw-140502-0001/"

static const struct {
    enum topic_kind kind;
    enum sector sector;
    uint32_t part;
    bool retained;
    const char *text;
    const char *message;
} table[] = {
    {TOPIC_STATE, SECTOR_UNSPECIFIED, 0, true, BASE "state", "GatewayState"},
    {TOPIC_MANIFEST, SECTOR_GAS, 12, true, BASE "manifest/gas/12", "Manifest"},
    {TOPIC_DATA, SECTOR_WATERLOGGING, 0, false, BASE "data/waterlogging", "DataBatch"},
    {TOPIC_HISTORY, SECTOR_CORRIDOR, 0, false, BASE "history/corridor", "DataBatch"},
    {TOPIC_ALARM, SECTOR_MANHOLE, 0, false, BASE "alarm/manhole", "AlarmEvent"},
    {TOPIC_ACTIVE, SECTOR_HEAT, 0, true, BASE "active/heat", "ActiveAlarms"},
    {TOPIC_REPORT, SECTOR_SPONGE, 0, false, BASE "report/sponge", "Report"},
    {TOPIC_CMD, SECTOR_UNSPECIFIED, 0, false, BASE "cmd", "Command"},
    {TOPIC_REPLY, SECTOR_UNSPECIFIED, 0, false, BASE "reply", "CommandReply"},
};

enum { TABLE_LENGTH = sizeof(table) / sizeof(table[0]) };

static struct topic topic_of(size_t i)
{
    return (struct topic){.region = "140502",
                          .gateway = "gw-140502-0001",
                          .kind = table[i].kind,
                          .sector = table[i].sector,
                          .part = table[i].part};
}

static void test_table(void **state)
{
    (void)state;
    assert_int_equal(TABLE_LENGTH, TOPIC_KIND_COUNT);
    for (size_t i = 0; i < TABLE_LENGTH; i++) {
        struct topic topic = topic_of(i);
        char text[128];
        size_t length = topic_build(root, &topic, text, sizeof(text));
        assert_string_equal(text, table[i].text);
        assert_int_equal(length, strlen(text));
        assert_int_equal(topic_retained(topic.kind), table[i].retained);
        const char *type = topic_content_type(topic.kind);
        assert_non_null(strstr(type, "application/vnd.google.protobuf; messageType=lifeline.v1."));
        assert_string_equal(strrchr(type, '.') + 1, table[i].message);
    }
}

static void test_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_LENGTH; i++) {
        struct topic topic = topic_of(i);
        char text[128];
        size_t length = strlen(table[i].text);
        assert_int_equal(topic_build(root, &topic, text, length), 0);
        assert_int_equal(topic_build(root, &topic, text, 0), 0);
        assert_int_equal(topic_build(root, &topic, text, length + 1), length);
    }
}

static void test_build_refuses(void **state)
{
    (void)state;
    char text[128];
    struct topic topic = topic_of(1);
    topic.part = 0;
    assert_int_equal(topic_build(root, &topic, text, sizeof(text)), 0);
    topic = topic_of(2);
    topic.sector = SECTOR_UNSPECIFIED;
    assert_int_equal(topic_build(root, &topic, text, sizeof(text)), 0);
    topic.sector = SECTOR_COUNT;
    assert_int_equal(topic_build(root, &topic, text, sizeof(text)), 0);
    static const char *const levels[] = {"", "a/b", "+", "#"};
    for (size_t i = 0; i < 4; i++) {
        topic = topic_of(0);
        memcpy(topic.gateway, levels[i], strlen(levels[i]) + 1);
        assert_int_equal(topic_build(root, &topic, text, sizeof(text)), 0);
        topic = topic_of(0);
        memcpy(topic.region, levels[i], strlen(levels[i]) + 1);
        assert_int_equal(topic_build(root, &topic, text, sizeof(text)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_build_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

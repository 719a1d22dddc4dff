/* mqtt_end.c: who is to blame for the end of a connection, and whether a packet may be: for each
 * reason that a broker may give in MQTT 5, for ends without a word, plain and behind TLS; and in
 * what words the log has it.
 * Pure; no socket. */
#include "gateway/uplink/mqtt_end.h"

#include <errno.h>
#include <mosquitto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct mqtt_end explain(struct mqtt_last last)
{
    struct mqtt_end end = {0};
    last.moved = last.moved ? last.moved : "";
    last.complaint = last.complaint ? last.complaint : "";
    last.said = last.said ? last.said : "";
    mqtt_end_explain(&last, &end);
    return end;
}

/* MQTT 5, table 3-13; what a server may say in a DISCONNECT. */
static void a_reason_is_taken_at_its_word(void **state)
{
    static const struct {
        int reason;
        bool over_packet;
    } cases[] = {
        {0x80, true},  {0x81, true},  {0x82, true},  {0x83, true},  {0x87, true},  {0x89, false},
        {0x8b, false}, {0x8d, false}, {0x8e, false}, {0x8f, true},  {0x90, true},  {0x93, true},
        {0x94, true},  {0x95, true},  {0x96, true},  {0x97, true},  {0x98, false}, {0x99, true},
        {0x9c, false}, {0x9d, false}, {0x9f, false}, {0xa0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mqtt_end end = explain((struct mqtt_last){.rc = MOSQ_ERR_CONN_LOST,
                                                         .version_5 = true,
                                                         .connected = true,
                                                         .refusal = cases[i].reason});
        assert_int_equal(end.fault, cases[i].reason == 0x8e ? MQTT_FAULT_TAKEN : MQTT_FAULT_BROKER);
        assert_true(end.hung_up);
        if (end.over_packet != cases[i].over_packet)
            fail_msg("%#x", (unsigned)cases[i].reason);
    }
}

static void the_end_without_a_word(void **state)
{
    static const struct {
        struct mqtt_last last;
        enum mqtt_fault fault;
        bool hung_up, over_packet;
    } cases[] = {
        {{.rc = MOSQ_ERR_CONN_LOST, .connected = true}, MQTT_FAULT_BROKER, true, true},
        {{.rc = MOSQ_ERR_ERRNO, .error = ECONNRESET, .connected = true},
         MQTT_FAULT_BROKER,
         true,
         true},
        {{.rc = MOSQ_ERR_ERRNO, .error = EHOSTUNREACH, .connected = true},
         MQTT_FAULT_LINK,
         false,
         false},
        {{.rc = MOSQ_ERR_ERRNO, .error = EPIPE, .connected = true}, MQTT_FAULT_BROKER, true, true},
        {{.rc = MOSQ_ERR_NO_CONN, .connected = true}, MQTT_FAULT_BROKER, true, true},
        {{.rc = MOSQ_ERR_MALFORMED_PACKET, .connected = true}, MQTT_FAULT_BROKER, true, false},
        {{.rc = MOSQ_ERR_KEEPALIVE, .connected = true}, MQTT_FAULT_LINK, false, false},
        {{.rc = MOSQ_ERR_TLS}, MQTT_FAULT_OWN, false, false},
        {{.rc = MOSQ_ERR_CONN_LOST, .complaint = "it has expired"}, MQTT_FAULT_OWN, false, false},
        {{.rc = MOSQ_ERR_CONN_LOST, .connected = true, .complaint = "it has expired"},
         MQTT_FAULT_BROKER,
         true,
         true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mqtt_end end = explain(cases[i].last);
        assert_int_equal(end.fault, cases[i].fault);
        assert_int_equal(end.hung_up, cases[i].hung_up);
        assert_int_equal(end.over_packet, cases[i].over_packet);
        assert_true(end.why[0] != '\0');
    }
}

static void the_words_that_help_most(void **state)
{
    (void)state;
    assert_string_equal(explain((struct mqtt_last){.rc = MOSQ_ERR_CONN_LOST,
                                                   .refusal = 0x9c,
                                                   .version_5 = true,
                                                   .moved = "b.example"})
                            .why,
                        "Use another server, go to b.example");
    assert_non_null(strstr(
        explain((struct mqtt_last){.refusal = 0x8e, .version_5 = true, .connected = true}).why,
        "is it configured twice?"));
    assert_string_equal(explain((struct mqtt_last){.rc = MOSQ_ERR_TLS,
                                                   .complaint = "its certificate has expired",
                                                   .said = "TLS: certificate verify failed"})
                            .why,
                        "its certificate has expired");
    assert_string_equal(explain((struct mqtt_last){.rc = MOSQ_ERR_MALFORMED_PACKET}).why,
                        "it sent a packet that MQTT does not know");
    /* 3.1.1 knows no taken session; 5 is "not authorised" there */
    assert_int_equal(explain((struct mqtt_last){.refusal = 5}).fault, MQTT_FAULT_BROKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reason_is_taken_at_its_word),
        cmocka_unit_test(the_end_without_a_word),
        cmocka_unit_test(the_words_that_help_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

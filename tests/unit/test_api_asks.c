/* The body of POST /v1/lines/NAME/ask: what is a question, and what is refused with a reason.
 *
 * It must be no way to write to a sensor, whatever stands in it. The random part changes a good
 * body byte by byte and prints its seed; SEED=N repeats it. The route itself is tried by
 * tests/system/test_probe.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/api/internal.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const struct settings_line rtu = {.transport = TRANSPORT_RTU, .timeout_ms = 300};
static const struct settings_line tcp = {.transport = TRANSPORT_TCP, .timeout_ms = 300};

/* NULL when the body is taken. */
static const char *refusal(const char *text, const struct settings_line *line,
                           struct line_question *out)
{
    static char why[160];
    json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    *out = (struct line_question){.listen_ms = 0};
    bool taken = asks_parse(body, line, out, why, sizeof why);
    json_decref(body);
    return taken ? NULL : why;
}

static void a_question(void **state)
{
    (void)state;
    struct line_question out;
    assert_null(refusal("{\"unit\":247,\"function\":4,\"address\":65411,\"count\":125,"
                        "\"timeout_ms\":10000,\"listen_ms\":2000,\"serial\":\"9600 8E1\"}",
                        &rtu, &out));
    assert_int_equal(out.request.unit, 247);
    assert_int_equal(out.request.function, FUNCTION_INPUT);
    assert_int_equal(out.request.address, 65411);
    assert_int_equal(out.request.count, 125);
    assert_int_equal(out.request.timeout_ms, 10000);
    assert_int_equal(out.listen_ms, 2000);
    assert_int_equal(out.serial.baud, 9600);
    assert_int_equal(out.serial.parity, 'E');
    assert_null(refusal("{\"unit\":1,\"function\":1,\"address\":0,\"count\":2000}", &rtu, &out));
    assert_int_equal(out.serial.baud, 0);
    assert_int_equal(out.request.timeout_ms, 0);
    assert_null(refusal("{\"unit\":0,\"function\":3,\"address\":0,\"count\":1,\"timeout_ms\":0}",
                        &tcp, &out));
    assert_null(refusal("{\"unit\":255,\"function\":3,\"address\":0,\"count\":1}", &tcp, &out));
}

static void nonsense_is_refused_with_a_reason(void **state)
{
    (void)state;
#define REST "\"address\":0,\"count\":1"
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "the body is a JSON object"},
        {"[]", "the body is a JSON object"},
        {"3", "the body is a JSON object"},
        {"{\"unit\":1,\"unit\":2,\"function\":3," REST "}", "the body is a JSON object"},
        {"{}", "unit is a whole number, 1 to 247"},
        {"{\"unit\":0,\"function\":3," REST "}", "unit is"},
        {"{\"unit\":248,\"function\":3," REST "}", "unit is"},
        {"{\"unit\":\"1\",\"function\":3," REST "}", "unit is"},
        {"{\"unit\":1.0,\"function\":3," REST "}", "unit is"},
        {"{\"unit\":null,\"function\":3," REST "}", "unit is"},
        {"{\"unit\":-1,\"function\":3," REST "}", "unit is"},
        {"{\"unit\":1," REST "}", "function is a whole number, 1 to 4"},
        {"{\"unit\":1,\"function\":0," REST "}", "function is"},
        {"{\"unit\":1,\"function\":5," REST "}", "function is"},
        {"{\"unit\":1,\"function\":6," REST "}", "function is"},
        {"{\"unit\":1,\"function\":16," REST "}", "function is"},
        {"{\"unit\":1,\"function\":4294967299," REST "}", "function is"},
        {"{\"unit\":1,\"function\":3,\"address\":-1,\"count\":1}", "address is"},
        {"{\"unit\":1,\"function\":3,\"address\":65536,\"count\":1}", "address is"},
        {"{\"unit\":1,\"function\":3,\"address\":0,\"count\":0}",
         "count is a whole number, 1 to 125"},
        {"{\"unit\":1,\"function\":3,\"address\":0,\"count\":126}", "count is"},
        {"{\"unit\":1,\"function\":2,\"address\":0,\"count\":2001}", "count is"},
        {"{\"unit\":1,\"function\":3,\"address\":65535,\"count\":2}", "address and count go"},
        {"{\"unit\":1,\"function\":3,\"timeout_ms\":19," REST "}", "timeout_ms is"},
        {"{\"unit\":1,\"function\":3,\"timeout_ms\":10001," REST "}", "timeout_ms is"},
        {"{\"unit\":1,\"function\":3,\"timeout_ms\":-1," REST "}", "timeout_ms is"},
        {"{\"unit\":1,\"function\":3,\"listen_ms\":2001," REST "}", "listen_ms is"},
        {"{\"unit\":1,\"function\":3,\"listen_ms\":true," REST "}", "listen_ms is"},
        {"{\"unit\":1,\"function\":3,\"serial\":9600," REST "}", "serial is like"},
        {"{\"unit\":1,\"function\":3,\"serial\":\"9600\"," REST "}", "serial is like"},
        {"{\"unit\":1,\"function\":3,\"serial\":\"0 8N1\"," REST "}", "serial is like"},
        {"{\"unit\":1,\"function\":3,\"serial\":null," REST "}", "serial is like"},
        {"{\"unit\":1,\"function\":3,\"values\":[1]," REST "}", "there is no key \"values\""},
        {"{\"unit\":1,\"function\":3,\"\":1," REST "}", "there is no key \"\""},
    };
    struct line_question out;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *why = refusal(cases[i].text, &rtu, &out);
        if (why == NULL)
            fail_msg("%s is taken", cases[i].text);
        if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %s", cases[i].text, why);
    }
    assert_non_null(
        refusal("{\"unit\":1,\"function\":3,\"serial\":\"9600 8N1\"," REST "}", &tcp, &out));
    assert_non_null(refusal("{\"unit\":256,\"function\":3," REST "}", &tcp, &out));
}

/* What a reason says is sent as JSON: it must stay UTF-8. */
static void a_long_key_is_not_cut(void **state)
{
    (void)state;
    struct line_question out;
    char text[400] = "{\"";
    for (size_t i = 0; i < 60; i++)
        memcpy(text + 2 + 3 * i, "汉", 4);
    strncat(text, "\":1}", 5);
    const char *why = refusal(text, &rtu, &out);
    assert_non_null(why);
    json_t *shown = json_string(why);
    assert_non_null(shown);
    json_decref(shown);
}

static void nothing_but_reads_comes_through(void **state)
{
    (void)state;
    static const char good[] = "{\"unit\":3,\"function\":3,\"address\":100,\"count\":12,"
                               "\"timeout_ms\":150,\"listen_ms\":10,\"serial\":\"9600 8N1\"}";
    static const char bytes[] = "0123456789.-eE\"{}[]:,NOE \\u\x01\xe5";
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("SEED=%u\n", seed);
    size_t taken = 0;
    for (int turn = 0; turn < 20000; turn++) {
        char text[sizeof good];
        struct line_question out;
        memcpy(text, good, sizeof good);
        for (int changes = rand_r(&seed) % 3; changes >= 0; changes--)
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
                bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        if (refusal(text, &rtu, &out) != NULL)
            continue;
        taken++;
        assert_in_range(out.request.unit, 1, 247);
        assert_in_range(out.request.function, FUNCTION_COIL, FUNCTION_INPUT);
        assert_in_range(out.request.count, 1,
                        out.request.function > FUNCTION_DISCRETE ? 125 : 2000);
        assert_true(out.request.address + out.request.count <= 65536);
        assert_in_range(out.request.timeout_ms, 0, 10000);
        assert_in_range(out.listen_ms, 0, 2000);
    }
    assert_in_range(taken, 100, 19900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question),
        cmocka_unit_test(nonsense_is_refused_with_a_reason),
        cmocka_unit_test(a_long_key_is_not_cut),
        cmocka_unit_test(nothing_but_reads_comes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

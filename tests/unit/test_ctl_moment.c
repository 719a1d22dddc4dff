/* Times as they are typed and shown.
 *
 * Durations back from now, dates in local time, with Z and with offsets, in a zone that has summer
 * time and in one that has not. What is no time is refused and leaves the old one alone; what is
 * shown can be typed again. */
#include "gateway/ctl/moment.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NOW INT64_C(1795368000123) /* 2026-11-22T17:20:00.123Z */

static void in_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static int64_t parsed(const char *text)
{
    int64_t ms = -1;
    if (!moment_parse(text, NOW, &ms))
        fail_msg("%s is a time", text);
    return ms;
}

static void so_long_ago(void **state)
{
    (void)state;
    assert_int_equal(parsed("250ms"), NOW - 250);
    assert_int_equal(parsed("2h"), NOW - 7200000);
    assert_int_equal(parsed("30d"), NOW - INT64_C(30) * 86400000);
}

static void a_date_is_local_unless_it_says_so(void **state)
{
    (void)state;
    in_zone("CST-8"); /* 中国标准时间 */
    assert_int_equal(parsed("2026-11-22T17:20Z"), NOW - 123);
    assert_int_equal(parsed("2026-11-23T01:20"), NOW - 123);
    assert_int_equal(parsed("2026-11-23 01:20:00.123"), NOW);
    assert_int_equal(parsed("2026-11-22T17:20:00.123Z"), NOW);
    assert_int_equal(parsed("2026-11-22T12:50:00.123-04:30"), NOW);
    assert_int_equal(parsed("2026-11-23T01:20+08:00"), NOW - 123);
    assert_int_equal(parsed("2026-11-23"), NOW - 123 - 80 * 60000);
    assert_int_equal(parsed("2039-01-01T00:00Z"), INT64_C(2177452800000));
    assert_int_equal(parsed("1969-12-31T23:59:59.999Z"), -1);
}

static void nothing_is_guessed(void **state)
{
    static const char *const wrong[] = {"",
                                        "yesterday",
                                        "2h30",
                                        "2026-11",
                                        "2026-11-22T",
                                        "2026-11-22T3:00",
                                        "2026-11-22T03",
                                        "2026-11-22T03:00x",
                                        "2026-11-22T03:00+8",
                                        "2026-11-22T03:00+15:00",
                                        "2026-11-22T03:00+08:60",
                                        "2026-11-22T03:00+08:00Z",
                                        "2026-02-29",
                                        "2026-13-01",
                                        "2026-00-10",
                                        "2026-11-22T24:00",
                                        "2026-11-22T10:60",
                                        "2026-11-22T10:00:60",
                                        "2026-11-22T10:00:00.12"};
    (void)state;
    in_zone("CST-8");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t ms = 5;
        if (moment_parse(wrong[i], NOW, &ms))
            fail_msg("%s is no time", wrong[i]);
        assert_int_equal(ms, 5);
    }
    in_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    int64_t ms;
    assert_false(moment_parse("2026-03-29T02:30", NOW, &ms)); /* skipped that night */
    assert_true(moment_parse("2026-03-29T03:30", NOW, &ms));
}

static void what_is_shown_can_be_typed(void **state)
{
    char text[MOMENT_BYTES];
    (void)state;
    in_zone("CST-8");
    assert_string_equal(moment_utc(NOW, text), "2026-11-22T17:20:00.123Z");
    assert_int_equal(parsed(text), NOW);
    assert_string_equal(moment_local(NOW, text), "2026-11-23 01:20:00.123");
    assert_int_equal(parsed(text), NOW);
    assert_string_equal(moment_utc(-1, text), "1969-12-31T23:59:59.999Z");
}

static void a_tail_shows_the_time_of_today(void **state)
{
    char text[MOMENT_BYTES];
    (void)state;
    in_zone("CST-8");
    assert_string_equal(moment_short(NOW - 60000, NOW, text), "01:19:00.123");
    assert_string_equal(moment_short(NOW - 2 * 3600000, NOW, text), "11-22 23:20 ");
    assert_string_equal(moment_short(NOW - INT64_C(365) * 86400000, NOW, text), "11-23 01:20 ");
    assert_string_equal(moment_short(-1, 0, text), "07:59:59.999");
    in_zone("UTC0"); /* another day */
    assert_string_equal(moment_short(NOW - 2 * 3600000, NOW, text), "15:20:00.123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_long_ago),
        cmocka_unit_test(a_date_is_local_unless_it_says_so),
        cmocka_unit_test(nothing_is_guessed),
        cmocka_unit_test(what_is_shown_can_be_typed),
        cmocka_unit_test(a_tail_shows_the_time_of_today),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* One step of an alarm as people read it, in both languages.
 *
 * Every part that may be missing, what lasts and what is over, and that nothing is wider than a
 * terminal or sends it an escape sequence, whatever somebody wrote on a broker. */
#include "drivers/clock.h"
#include "gateway/ctl/alarm_lines.h"
#include "tests/unit/ctl_shown.h"

enum { MINUTE_MS = 60000 };

static json_t *one(int64_t age_ms)
{
    json_int_t now_ms = clock_wall().ms;
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I}", "id", "01JD3Z0000000000000000X7RK",
                     "status", "raised", "key", "road.depth/flooded", "level", 1, "previous_level",
                     0, "at_ms", now_ms, "raised_ms", now_ms - (json_int_t)age_ms);
}

static const char *seen(json_t *what, const char *gateway, const char *locale)
{
    shown_in(locale);
    shown_catch(STDOUT_FILENO);
    alarm_lines(what, gateway);
    shown_release();
    shown_fits();
    return shown;
}

static void has(const char *part)
{
    if (!strstr(shown, part))
        fail_msg("no \"%s\" in:\n%s", part, shown);
}

static void all_of_it(void **state)
{
    (void)state;
    json_t *a = one(12 * MINUTE_MS);
    json_object_update_new(a, json_pack("{s:s, s:s, s:f, s:s, s:s, s:s, s:s, s:s}", "text_zh",
                                        "积水 273 mm", "text_en", "water 273 mm", "threshold",
                                        270.0, "unit", "mm", "threshold_source", "GB 50014", "hint",
                                        "look there", "actor", "li", "note", "on my way"));
    seen(a, "gw-1", "C.UTF-8");
    assert_int_equal(strncmp(shown, "gw-1 red ", 9), 0);
    has(" road.depth/flooded raised, for 12 min, ...00X7RK\n");
    has("\n    water 273 mm\n    threshold 270 mm: GB 50014\n    look there\n"
        "    acknowledged by li: on my way\n");
    seen(a, NULL, "zh_CN.UTF-8");
    assert_int_equal(strncmp(shown, "红色 ", strlen("红色 ")), 0);
    has("发生，已 12 分钟，…00X7RK\n    积水 273 mm\n    阈值 270 mm：GB 50014\n");
    has("li 已确认：on my way");
    json_decref(a);
}

static void only_what_is_given(void **state)
{
    (void)state;
    json_t *a = one(3 * MINUTE_MS);
    seen(a, NULL, "C.UTF-8");
    assert_ptr_equal(strchr(shown, '\n'), shown + strlen(shown) - 1); /* one line */
    json_object_set_new(a, "threshold_source", json_string("GB 1"));
    seen(a, NULL, "C.UTF-8");
    has("\n    by: GB 1\n");
    json_object_set_new(a, "threshold", json_real(0.5));
    json_object_set_new(a, "unit", json_string("1"));
    seen(a, NULL, "C.UTF-8");
    has("\n    threshold 0.5 : GB 1\n");
    json_decref(a);
}

static void an_entry_counts_from_its_first_sight(void **state)
{
    (void)state;
    json_t *a = one(0);
    json_object_del(a, "raised_ms");
    json_object_set_new(a, "first_ms", json_integer(clock_wall().ms - 7 * MINUTE_MS));
    seen(a, NULL, "C.UTF-8");
    has("for 7 min");
    json_decref(a);
}

static void what_is_over_lasts_no_longer(void **state)
{
    (void)state;
    json_t *a = one(300 * MINUTE_MS);
    json_int_t raised_ms = json_integer_value(json_object_get(a, "raised_ms"));
    json_object_set_new(a, "status", json_string("cleared"));
    json_object_set_new(a, "level", json_integer(0));
    json_object_set_new(a, "previous_level", json_integer(2));
    json_object_set_new(a, "cleared_ms", json_integer(raised_ms + 5 * MINUTE_MS));
    assert_int_equal(alarm_lines_level(a), 2);
    seen(a, NULL, "C.UTF-8");
    has("orange");
    has("cleared, for 5 min");
    json_object_set_new(a, "cleared_ms",
                        json_integer(raised_ms - MINUTE_MS)); /* the clock was set */
    seen(a, NULL, "C.UTF-8");
    has("for 0.0 s");
    json_decref(a);
}

static void long_and_hostile_texts_fit(void **state)
{
    static const char *const keys[] = {"key",  "text_en", "hint",
                                       "note", "actor",   "threshold_source"};
    char text[3000];
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *a = one(MINUTE_MS);
        json_object_set_new(a, "actor", json_string("li"));
        json_object_set_new(a, "text_en", json_string("x"));
        memset(text, 'w', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        json_object_set_new(a, keys[i], json_string(text));
        seen(a, "gw-1", "C.UTF-8");
        json_object_set_new(a, keys[i], json_string("a\033[2Jb\x07\nc"));
        seen(a, "gw-1", "C.UTF-8");
        assert_null(strchr(shown, '\033'));
        assert_null(strchr(shown, '\x07'));
        for (size_t c = 0; c + 3 < sizeof text; c += 3)
            memcpy(text + c, "水", 3);
        text[sizeof text - 1 - (sizeof text - 1) % 3] = '\0';
        json_object_set_new(a, keys[i], json_string(text));
        seen(a, "gw-1", "zh_CN.UTF-8");
        json_decref(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(only_what_is_given),
        cmocka_unit_test(an_entry_counts_from_its_first_sight),
        cmocka_unit_test(what_is_over_lasts_no_longer),
        cmocka_unit_test(long_and_hostile_texts_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

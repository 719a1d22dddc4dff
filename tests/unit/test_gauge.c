/* What the flash has to bear: rates over the last day, and when a card is worn out.
 *
 * The clock is a number here; the card is a folder that looks like sysfs, made for each case under
 * /tmp. The figures of the forecast are done by hand in the comments. */
#include "gateway/store/gauge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/store/card.h"

enum { TEN_SECONDS = 10, MINUTE = 60, HOUR = 3600, DAY = 86400 };

struct day {
    struct gauge gauge;
    struct gauge_mark now;
    struct gauge_rate rate;
};

/* The gauge is read every ten seconds, as the store does it. */
static void run(struct day *day, int64_t seconds, uint64_t flash_s, uint64_t rows_s)
{
    for (int64_t i = 0; i < seconds; i += TEN_SECONDS) {
        day->now.at = clock_after_ms(day->now.at, TEN_SECONDS * 1000);
        day->now.flash_bytes += flash_s * TEN_SECONDS;
        day->now.row_bytes += rows_s * TEN_SECONDS;
        day->rate = gauge_note(&day->gauge, &day->now);
    }
}

static void assert_about(uint64_t is, uint64_t wanted)
{
    if (is < wanted * 95 / 100 || is > wanted * 105 / 100)
        fail_msg("%llu is not about %llu", (unsigned long long)is, (unsigned long long)wanted);
}

static void a_rate_is_known_after_a_minute(void **state)
{
    struct day day = {.now.flash_bytes = 5000000}; /* start-up is no rate */
    (void)state;
    run(&day, MINUTE, 100, 10);
    assert_int_equal(day.rate.flash_day, 0);
    run(&day, MINUTE, 100, 10);
    assert_about(day.rate.flash_day, 100 * DAY);
    assert_about(day.rate.rows_day, 10 * DAY);
}

static void a_burst_after_calm_counts_as_what_it_wrote(void **state)
{
    struct day day = {0};
    (void)state;
    run(&day, HOUR, 10, 0);
    run(&day, 5 * MINUTE, 10000, 0);
    assert_about(day.rate.flash_day, (10 * 3600 + 10000 * 300) / 65 * 60 * 24);
}

/* Averaged since start it would take a month to see a new setting. */
static void what_was_a_day_ago_is_forgotten(void **state)
{
    struct day day = {0};
    (void)state;
    run(&day, 30 * DAY, 1000, 100);
    assert_about(day.rate.flash_day, 1000 * DAY);
    run(&day, DAY, 10, 1);
    assert_about(day.rate.flash_day, 10 * DAY);
    run(&day, 12 * HOUR, 1000, 100);
    assert_about(day.rate.flash_day, 505 * DAY);
}

/* One failed look must not count all bytes since start as those of an hour. */
static void what_cannot_be_read_is_as_it_was(void **state)
{
    char path[] = "/tmp/lifeline-io-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "syscw: 7\nwrite_bytes: 500\n", 26), 26);
    close(fd);
    assert_int_equal(gauge_flash(path, 0), 500);
    unlink(path);
    assert_int_equal(gauge_flash(path, 500), 500);
}

static void no_hours_is_not_unknown(void **state)
{
    const struct gauge_rate none = {0}, some = {.rows_day = 2400};
    (void)state;
    assert_int_equal(gauge_hours(1000, &none), 0);
    assert_int_equal(gauge_hours(1000, &some), 10);
    assert_int_equal(gauge_hours(0, &some), 1);
}

/* ---- the card ---- */

static char sysfs[64];

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/devices/mmcblk0/%s", sysfs, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", sysfs, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* A card of 8 GiB, of which the device behind /tmp is the second partition. */
static int setup(void **state)
{
    struct stat tmp;
    char link[128], target[128];
    (void)state;
    snprintf(sysfs, sizeof sysfs, "/tmp/lifeline-sysfs-XXXXXX");
    if (!mkdtemp(sysfs) || stat("/tmp", &tmp) != 0)
        return -1;
    folder("dev");
    folder("dev/block");
    folder("devices");
    folder("devices/mmcblk0");
    folder("devices/mmcblk0/device");
    folder("devices/mmcblk0/queue");
    folder("devices/mmcblk0/mmcblk0p2");
    put("mmcblk0p2/partition", "2\n");
    put("mmcblk0p2/size", "2048\n");
    put("queue/rotational", "0\n");
    put("size", "16777216\n");
    snprintf(link, sizeof link, "%s/dev/block/%u:%u", sysfs, major(tmp.st_dev), minor(tmp.st_dev));
    snprintf(target, sizeof target, "%s/devices/mmcblk0/mmcblk0p2", sysfs);
    return symlink(target, link);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", sysfs);
    return system(command);
}

static struct card look(void)
{
    struct card card;
    card_look(sysfs, "/tmp", &card);
    return card;
}

static void the_card_of_a_partition(void **state)
{
    (void)state;
    struct card card = look();
    assert_string_equal(card.name, "mmcblk0");
    assert_int_equal(card.bytes, UINT64_C(8) << 30);
    assert_int_equal(card.worn_percent, -1);
}

/* 8 GiB x 3000 / 4 = 6.44 TB; 450 MB a day take 14317 days. */
static void a_forecast(void **state)
{
    (void)state;
    struct card card = look();
    assert_about((uint64_t)(card_years(&card, 450000000) * 1000), 39198);
    card.worn_percent = 50;
    assert_about((uint64_t)(card_years(&card, 450000000) * 1000), 19599);
    assert_int_equal(card_years(&card, 1), CARD_YEARS_MAX);
    assert_true(card_years(&card, 0) < 0);
}

static void what_the_card_says_of_itself(void **state)
{
    (void)state;
    put("device/life_time", "0x01 0x03\n");
    put("device/pre_eol_info", "0x01\n");
    assert_int_equal(look().worn_percent, 30);
    put("device/life_time", "0x00 0x00\n");
    assert_int_equal(look().worn_percent, -1);
    put("device/pre_eol_info", "0x03\n");
    assert_int_equal(look().worn_percent, 90);
    put("device/life_time", "?\n");
    assert_int_equal(look().worn_percent, 90);
    put("device/life_time", "0x0b 0x01\n");
    struct card card = look();
    assert_int_equal(card.worn_percent, 100);
    assert_true(card_years(&card, 1000) >= 0 && card_years(&card, 1000) < 0.01);
}

static void what_is_no_card(void **state)
{
    struct card card;
    (void)state;
    put("queue/rotational", "1\n");
    card = look();
    assert_int_equal(card.bytes, 0);
    assert_string_equal(card.name, "");
    assert_true(card_years(&card, 1000) < 0);
    card_look(sysfs, "/proc", &card);
    assert_int_equal(card.bytes, 0);
    card_look(sysfs, "/nowhere/at/all", &card);
    assert_int_equal(card.bytes, 0);
}

int main(void)
{
#define CARD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_is_as_it_was),
        cmocka_unit_test(no_hours_is_not_unknown),
        cmocka_unit_test(a_rate_is_known_after_a_minute),
        cmocka_unit_test(a_burst_after_calm_counts_as_what_it_wrote),
        cmocka_unit_test(what_was_a_day_ago_is_forgotten),
        CARD(the_card_of_a_partition),
        CARD(a_forecast),
        CARD(what_the_card_says_of_itself),
        CARD(what_is_no_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

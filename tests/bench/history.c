/* What a scan through the history costs the commits beside it, and how fast it is.
 *
 *     bench_history fill FOLDER [MIB]     30 days of 100 points into FOLDER/store.db, 256 MiB
 *     bench_history run FOLDER            commits every 50 ms: alone, and beside each kind of scan
 *
 * Drives the store as the pipeline and the API do; no line, no broker. The store's file is put out
 * of the page cache before each scan. Prints `name value unit` lines; lateness is from
 * store_commit() until the commit shows. Two threads beside the store's own; never used by the
 * product. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/clock.h"
#include "gateway/api/history_line.h"
#include "gateway/store/store.h"

enum {
    POINTS = 100,
    ROWS = 60,
    DAYS = 30,
    PERIOD_MS = 50,
    ALONE = 200,
    COMMITS_MAX = 100000,
    PATIENCE_MS = 600000,
    LIVE_PART = 1,
};

struct bench {
    char path[512];
    char names[POINTS][8];
    struct profile_point points[POINTS];
    struct settings_point point_settings[POINTS];
    struct profile profile;
    struct settings_device device;
    struct settings_line line;
    struct settings settings;
    struct segment_column columns[POINTS];
    struct segment *segment;
    struct store *store;
};

struct scanning {
    struct bench *bench;
    const char *pattern;
    int64_t since_ms;
    bool over;
    uint64_t readings, text_bytes, slices;
    double seconds;
    struct timespec begun;
};

static void prepare(struct bench *bench, const char *folder)
{
    (void)mkdir(folder, 0755); /* or it is there; what cannot be made shows when it is filled */
    snprintf(bench->path, sizeof bench->path, "%s/store.db", folder);
    for (int p = 0; p < POINTS; p++) {
        snprintf(bench->names[p], sizeof bench->names[p], "p%d", p);
        bench->points[p] = (struct profile_point){
            .name = bench->names[p], .quantity = (char *)"raw", .unit = (char *)"1", .decimals = 2};
    }
    bench->profile =
        (struct profile){.name = (char *)"p", .points = bench->points, .point_count = POINTS};
    bench->device = (struct settings_device){.name = (char *)"device",
                                             .profile = &bench->profile,
                                             .points = bench->point_settings,
                                             .sector = SECTOR_DRAINAGE};
    bench->line.name = (char *)"line";
    bench->settings.gateway.id = (char *)"gw-1";
    bench->settings.gateway.region = (char *)"140502";
    bench->settings.store.path = bench->path;
    bench->settings.store.max_size = UINT64_C(1) << 40;
    bench->settings.store.retain_ms = UINT64_C(100) * 86400000;
    bench->settings.lines = &bench->line;
    bench->settings.line_count = 1;
    bench->settings.devices = &bench->device;
    bench->settings.device_count = 1;
}

static bool open_store(struct bench *bench)
{
    char why[300];
    bench->store = store_open(&bench->settings, why, sizeof why);
    if (!bench->store || !store_start(bench->store)) {
        fprintf(stderr, "%s\n", why);
        return false;
    }
    const struct store_ids *ids = store_ids(bench->store);
    for (int p = 0; p < POINTS; p++)
        bench->columns[p] = (struct segment_column){ids->point[0][p], 2, false};
    const struct segment_block block = {ids->device[0], POINTS, bench->columns};
    bench->segment = segment_new(&block, 1);
    return bench->segment != NULL;
}

static void close_store(struct bench *bench)
{
    if (!store_stop(bench->store, clock_after_ms(clock_mono(), PATIENCE_MS)))
        _exit(1);
    store_free(bench->store);
    segment_free(bench->segment);
}

static void begin_segment(struct bench *bench, int64_t base_ms)
{
    const struct segment_start start = {.base_ms = base_ms, .clock = CLOCK_STATE_SYNCED};
    segment_reset(bench->segment, &start);
}

static bool add_row(struct bench *bench, int64_t time_ms)
{
    static struct value values[POINTS];
    for (int p = 0; p < POINTS; p++)
        values[p].steps += rand() % 301 - 150; /* two bytes a step, mostly */
    return segment_add(bench->segment, 0, time_ms, values);
}

static int fill(struct bench *bench, uint64_t mib)
{
    int64_t now_ms = clock_wall().ms, base_ms = now_ms - INT64_C(86400000) * DAYS;
    uint64_t bytes = 0, wanted = mib << 20;
    while (bytes < wanted) {
        begin_segment(bench, base_ms);
        for (int r = 0; r < ROWS; r++) {
            if (!add_row(bench, base_ms + r * 1000))
                return 1;
        }
        bytes += segment_size(bench->segment);
        while (!store_put(bench->store, 0, SECTOR_DRAINAGE, bench->segment, true))
            usleep(1000);
        /* all of the time, whatever the size */
        base_ms = now_ms - (int64_t)((double)(wanted - bytes % wanted) / (double)wanted *
                                     (INT64_C(86400000) * DAYS));
    }
    store_commit(bench->store);
    printf("history_filled %llu MiB\n", (unsigned long long)(bytes >> 20));
    return 0;
}

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/* One commit of a grown segment; how long it took, in ms. */
static double commit_once(struct bench *bench)
{
    struct store_status before, after;
    struct timespec begun;
    if (!add_row(bench, clock_wall().ms) ||
        !store_put(bench->store, LIVE_PART, SECTOR_DRAINAGE, bench->segment, false))
        exit(1);
    store_status(bench->store, &before);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    store_commit(bench->store);
    do {
        usleep(50);
        store_status(bench->store, &after);
    } while (after.commits == before.commits && seconds_since(&begun) < 60);
    if (segment_size(bench->segment) > 16000)
        begin_segment(bench, clock_wall().ms);
    return seconds_since(&begun) * 1000;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(const char *name, double *late_ms, size_t count)
{
    qsort(late_ms, count, sizeof *late_ms, by_size);
    printf("commit_%s_count %zu commits\n", name, count);
    printf("commit_%s_p50 %.2f ms\n", name, late_ms[count / 2]);
    printf("commit_%s_p99 %.2f ms\n", name, late_ms[count * 99 / 100]);
    printf("commit_%s_max %.2f ms\n", name, late_ms[count - 1]);
    fflush(stdout);
}

static void wake(void *context)
{
    (void)context;
}

static void *scan(void *argument)
{
    struct scanning *scanning = argument;
    char line[HISTORY_LINE_MAX];
    struct history_reading reading;
    enum history_step step;
    struct store *store = scanning->bench->store;
    struct history *history = history_new(&scanning->pattern, 1, scanning->since_ms, INT64_MAX);
    while (history && (step = history_next(history, &reading)) <= HISTORY_FETCH) {
        if (step == HISTORY_READING) {
            scanning->readings++;
            scanning->text_bytes += history_line(&reading, line);
            continue;
        }
        scanning->slices++;
        loan_lend(store, history_loan(history), wake, NULL);
        while (!loan_back(store, history_loan(history)))
            usleep(20);
    }
    scanning->seconds = seconds_since(&scanning->begun);
    history_free(history);
    __atomic_store_n(&scanning->over, true, __ATOMIC_RELEASE);
    return NULL;
}

static void forget_cache(const struct bench *bench)
{
    int fd = open(bench->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void beside(struct bench *bench, const char *name, const char *pattern, int64_t back_ms)
{
    static double late_ms[COMMITS_MAX];
    size_t count = 0;
    pthread_t thread;
    struct scanning scanning = {
        .bench = bench, .pattern = pattern, .since_ms = clock_wall().ms - back_ms};
    forget_cache(bench);
    clock_gettime(CLOCK_MONOTONIC, &scanning.begun);
    if (pthread_create(&thread, NULL, scan, &scanning) != 0)
        exit(1);
    while (!__atomic_load_n(&scanning.over, __ATOMIC_ACQUIRE) && count < COMMITS_MAX) {
        late_ms[count++] = commit_once(bench);
        usleep(PERIOD_MS * 1000);
    }
    pthread_join(thread, NULL);
    printf("scan_%s %.2f s\n", name, scanning.seconds);
    printf("scan_%s_slices %llu slices\n", name, (unsigned long long)scanning.slices);
    printf("scan_%s_rate %.0f readings/s\n", name, (double)scanning.readings / scanning.seconds);
    report(name, late_ms, count);
}

static void run(struct bench *bench)
{
    static double late_ms[ALONE];
    begin_segment(bench, clock_wall().ms);
    for (size_t i = 0; i < ALONE; i++) {
        late_ms[i] = commit_once(bench);
        usleep(PERIOD_MS * 1000);
    }
    report("alone", late_ms, ALONE);
    beside(bench, "last_hour", "*", 3600000);
    beside(bench, "one_point", "device.p7", INT64_C(86400000) * DAYS);
    beside(bench, "everything", "*", INT64_C(86400000) * DAYS);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bool fills = argc >= 3 && strcmp(argv[1], "fill") == 0;
    if (!fills && (argc != 3 || strcmp(argv[1], "run") != 0)) {
        fputs("usage: bench_history fill FOLDER [MIB] | run FOLDER\n", stderr);
        return 2;
    }
    int code = 0;
    prepare(&bench, argv[2]);
    if (!open_store(&bench))
        return 1;
    if (fills)
        code = fill(&bench, argc > 3 ? strtoull(argv[3], NULL, 10) : 256);
    else
        run(&bench);
    close_store(&bench);
    return code;
}

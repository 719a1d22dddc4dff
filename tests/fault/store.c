/* A small gateway for the power-cut rig: the real store, readings that can be recognised, and an
 * uplink that fetches, loses, refuses and settles, all of it in a few milliseconds a life.
 *
 *     fault_store write|drain|fill DB FOLDER SEED LIMIT [MAX_SIZE]
 *
 * write puts readings and commits until LIMIT ms are over (or it is killed) and ends cleanly; drain
 * takes all that is owed, the uplink being kind; fill writes LIMIT MiB, as fast as it can, and dies
 * without an end. In FOLDER, new for each life, `parcels` gets every payload the uplink took (a
 * line, then the bytes), `readings` what was sampled, before the store hears of it, and `start` how
 * the start went (mode, ms, epoch, bytes read); `sirens` is in sirens.c. One thread beside the
 * store's own. Exit 1 when the store does not open or end, or still owes something after a drain.
 */
#include "gateway/store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault/sirens.h"

enum {
    PARTS = 6,
    POINTS_MAX = 120,
    PARCELS = 8,
    BURST = 50, /* alarms at once, more than one transaction takes */
    PUT_TRIES = 5000,
    STOP_MS = 20000,
    DRAIN_MS = 60000,
    QUIET_MS = 12, /* nothing came for so long: all is there */
};

struct part {
    enum sector sector;
    size_t points;
    bool real;
    struct segment *segment;
    uint32_t rows, close_at; /* rows */
};

enum hand { HAND_STORE, HAND_READY, HAND_SENT }; /* whose turn it is with a parcel */

struct sent {
    struct parcel parcel;
    enum hand hand;
    unsigned answer_in; /* turns until the acknowledgement */
};

struct world {
    struct settings settings;
    struct settings_uplink uplink;
    struct store *store;
    struct sirens *sirens;
    struct part parts[PARTS];
    struct sent sent[PARCELS];
    uint64_t generation, seed;
    uint64_t closed; /* readings in segments that were closed */
    bool refused[SECTOR_COUNT];
    bool kind;
    int parcels_fd, readings_fd;
    mono_time last_data;
    int64_t last_ms;
};

static uint64_t draw(struct world *world, uint64_t limit)
{
    world->seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = world->seed;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) % limit;
}

static void save(int fd, const void *bytes, size_t length)
{
    if (write(fd, bytes, length) != (ssize_t)length) {
        fprintf(stderr, "fault_store: cannot write its own files\n");
        exit(1);
    }
}

static int open_log(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* ---- sampling ---- */

/* What the check computes again from device, point and time. */
static struct value value_at(const struct part *part, uint32_t device, uint32_t point, int64_t t_ms)
{
    uint64_t n = (uint64_t)t_ms * 7919 + device * UINT64_C(104729) + point * UINT64_C(31);
    struct value value = {.quality = QUALITY_GOOD};
    if (part->real)
        value.real = (float)(n % 65536);
    else
        value.steps = (int64_t)(n % 1000003);
    return value;
}

static void make_part(struct world *world, uint32_t p)
{
    static const enum sector sectors[] = {SECTOR_GAS, SECTOR_WATER, SECTOR_MANHOLE};
    static const size_t points[PARTS] = {4, 10, 120, 1, 30, 60};
    struct segment_column columns[POINTS_MAX];
    struct part *part = &world->parts[p];
    part->sector = sectors[p % 3];
    part->points = points[p];
    part->real = p == 4;
    for (uint32_t i = 0; i < part->points; i++)
        columns[i] = (struct segment_column){.point = i + 1, .is_float = part->real};
    const struct segment_block block = {p + 1, part->points, columns};
    part->segment = segment_new(&block, 1);
}

/* Before the store hears of it. */
static void note_reading(struct world *world, uint32_t p, int64_t t_ms)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%d %u %" PRId64 "\n", (int)world->parts[p].sector, p + 1,
                     t_ms);
    save(world->readings_fd, line, (size_t)n);
}

/* Waits for room: a part that stays behind its sector would lose readings in a cut of which the Gap
 * of the sector does not tell. */
static bool put(struct world *world, uint32_t p, bool closed)
{
    struct part *part = &world->parts[p];
    for (int i = 0; i < PUT_TRIES; i++) {
        if (store_put(world->store, p, part->sector, part->segment, closed)) {
            world->closed += closed ? segment_readings(part->segment) : 0;
            return true;
        }
        store_commit(world->store);
        usleep(1000);
    }
    return false;
}

static void sample(struct world *world, uint32_t p, int64_t t_ms, uint32_t rows_most)
{
    struct part *part = &world->parts[p];
    struct value values[POINTS_MAX];
    if (!part->rows) {
        const struct segment_start start = {
            .base_ms = t_ms, .mono_ms = clock_mono_ms(clock_mono()), .clock = CLOCK_STATE_SYNCED};
        segment_reset(part->segment, &start);
        part->close_at = 1 + (uint32_t)draw(world, rows_most);
    }
    for (uint32_t i = 0; i < part->points; i++)
        values[i] = value_at(part, p + 1, i + 1, t_ms);
    note_reading(world, p, t_ms);
    if (!segment_add(part->segment, 0, t_ms, values))
        abort();
    part->rows++;
    bool closed = part->rows >= part->close_at;
    if (put(world, p, closed) && closed)
        part->rows = 0;
}

static void tick(struct world *world)
{
    int64_t t_ms = clock_wall().ms;
    if (t_ms <= world->last_ms)
        return;
    world->last_ms = t_ms;
    for (uint32_t p = 0; p < PARTS; p++) {
        if (draw(world, 4))
            sample(world, p, t_ms, 12);
    }
    for (uint64_t n = draw(world, 25) ? draw(world, 4) : BURST; n; n--)
        sirens_step(world->sirens, t_ms);
    if (draw(world, 3))
        store_commit(world->store);
}

/* ---- the uplink ---- */

static void ask(struct world *world, struct sent *sent)
{
    sent->hand = HAND_STORE;
    sent->parcel.generation = world->generation;
    store_fetch(world->store, 0, &sent->parcel);
}

/* The connection is lost: what is under way was perhaps received, and is not known to be. */
static void reconnect(struct world *world)
{
    world->generation = store_renew(world->store, 0);
    memset(world->refused, 0, sizeof world->refused);
    sirens_reconnect(world->sirens);
    if (!world->kind && draw(world, 3) == 0)
        world->refused[world->parts[draw(world, PARTS)].sector] = true;
    for (size_t i = 0; i < PARCELS; i++) {
        if (world->sent[i].hand != HAND_STORE)
            ask(world, &world->sent[i]);
    }
}

static void receive(struct world *world, struct sent *sent)
{
    const struct parcel *parcel = &sent->parcel;
    char line[200];
    int n = snprintf(line, sizeof line, "%d %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %zu\n",
                     (int)parcel->kind, (int)parcel->sector, parcel->epoch, parcel->first_seq,
                     parcel->last_seq, parcel->length);
    save(world->parcels_fd, line, (size_t)n);
    save(world->parcels_fd, parcel->bytes, parcel->length);
    sent->hand = HAND_SENT;
    sent->answer_in = world->kind ? 0 : (unsigned)draw(world, 6);
}

static void take(struct world *world, struct sent *sent)
{
    world->last_data = clock_mono();
    if (world->refused[sent->parcel.sector]) {
        store_refuse(world->store, 0, &sent->parcel);
        ask(world, sent);
        return;
    }
    receive(world, sent);
}

static void collect(struct world *world)
{
    struct parcel *parcel;
    while ((parcel = store_collect(world->store, 0))) {
        struct sent *sent = (struct sent *)parcel; /* its first member */
        if (parcel->kind == PARCEL_EMPTY || parcel->generation != world->generation)
            ask(world, sent);
        else
            take(world, sent);
    }
}

static void uplink(struct world *world)
{
    collect(world);
    for (size_t i = 0; i < PARCELS; i++) {
        struct sent *sent = &world->sent[i];
        if (sent->hand != HAND_SENT)
            continue;
        if (sent->answer_in) {
            sent->answer_in--;
            continue;
        }
        store_settle(world->store, 0, &sent->parcel);
        ask(world, sent);
    }
    if (!sirens_uplink(world->sirens, world->kind))
        world->last_data = clock_mono();
    if (!world->kind && draw(world, 25) == 0)
        reconnect(world);
}

/* ---- lives ---- */

static bool all_settled(struct world *world)
{
    struct store_backlog backlog;
    store_backlog(world->store, 0, &backlog);
    if (backlog.alarms)
        store_commit(
            world->store); /* nobody samples: what is acknowledged would wait for seconds */
    return backlog.readings == 0 && backlog.alarms == 0 &&
           clock_ms_between(world->last_data, clock_mono()) >= QUIET_MS;
}

/* Without sampling: true when all that is owed was taken. */
static bool live(struct world *world, int64_t limit_ms, bool sampling)
{
    mono_time end = clock_after_ms(clock_mono(), limit_ms);
    while (clock_mono().ns < end.ns) {
        if (sampling)
            tick(world);
        uplink(world);
        if (!sampling && all_settled(world))
            return true;
        usleep(sampling ? 300 + (unsigned)draw(world, 1200) : 500);
    }
    return sampling;
}

/* Closed rows of many sizes, as fast as the disk takes them. */
static void fill(struct world *world, uint64_t bytes)
{
    struct store_status status = {0};
    for (int64_t t_ms = clock_wall().ms - 86400000; status.bytes < bytes; t_ms++) {
        for (uint32_t p = 0; p < PARTS; p++)
            sample(world, p, t_ms, 100);
        if (t_ms % 4096)
            continue;
        store_commit(world->store);
        store_status(world->store, &status);
    }
    for (uint32_t p = 0; p < PARTS; p++) {
        if (world->parts[p].rows && !put(world, p, true))
            return;
    }
    store_commit(world->store);
    do { /* all of it is there: what comes next is about an eviction only */
        usleep(1000);
        store_status(world->store, &status);
    } while (status.readings < world->closed);
}

/* What this process has read so far, from wherever. */
static uint64_t bytes_read(void)
{
    char line[128];
    uint64_t bytes = 0;
    FILE *io = fopen("/proc/self/io", "re");
    if (!io || !fgets(line, sizeof line, io) || sscanf(line, "rchar: %" SCNu64, &bytes) != 1)
        bytes = 0;
    if (io)
        fclose(io);
    return bytes;
}

static bool begin(struct world *world, const char *folder, const char *mode)
{
    char why[300] = "no alarms", line[400];
    int start_fd = open_log(folder, "start");
    mono_time started = clock_mono();
    uint64_t before = bytes_read();
    world->store = store_open(&world->settings, why, sizeof why);
    if (world->store)
        world->sirens = sirens_new(world->store, folder, draw(world, UINT64_MAX));
    if (!world->sirens || !store_start(world->store)) {
        int n = snprintf(line, sizeof line, "%s failed: %s\n", mode, why);
        save(start_fd, line, (size_t)n);
        return false;
    }
    struct store_status status;
    store_status(world->store, &status);
    int n = snprintf(line, sizeof line, "%s %" PRId64 " %" PRIu64 " %" PRIu64 "\n", mode,
                     clock_ms_between(started, clock_mono()), status.epoch, bytes_read() - before);
    save(start_fd, line, (size_t)n);
    close(start_fd);
    return true;
}

static bool end(struct world *world)
{
    if (!store_stop(world->store, clock_after_ms(clock_mono(), STOP_MS)))
        return false;
    store_free(world->store);
    sirens_free(world->sirens);
    for (size_t i = 0; i < PARCELS; i++)
        free(world->sent[i].parcel.bytes);
    for (size_t p = 0; p < PARTS; p++)
        segment_free(world->parts[p].segment);
    close(world->parcels_fd);
    close(world->readings_fd);
    return true;
}

int main(int argc, char **argv)
{
    static struct world world;
    if (argc < 6) {
        fprintf(stderr, "fault_store write|drain|fill DB FOLDER SEED LIMIT [MAX_SIZE]\n");
        return 2;
    }
    const char *mode = argv[1], *folder = argv[3];
    uint64_t limit = strtoull(argv[5], NULL, 10);
    world.seed = strtoull(argv[4], NULL, 10);
    world.kind = strcmp(mode, "write") != 0;
    world.uplink.name = (char *)"city";
    world.uplink.max_payload = 1 << 14;
    for (int sector = 1; sector < SECTOR_COUNT; sector++)
        world.uplink.sectors[sector] = true;
    world.settings.gateway.id = (char *)"gw-1";
    world.settings.gateway.region = (char *)"140502";
    world.settings.store.path = argv[2];
    world.settings.store.segment_ms = 60000;
    world.settings.store.retain_ms = UINT64_C(30) * 86400000;
    world.settings.store.max_size = argc > 6 ? strtoull(argv[6], NULL, 10) : UINT64_C(1) << 40;
    world.settings.uplinks = &world.uplink;
    world.settings.uplink_count = 1;
    world.parcels_fd = open_log(folder, "parcels");
    world.readings_fd = open_log(folder, "readings");
    if (!begin(&world, folder, mode))
        return 1;
    for (uint32_t p = 0; p < PARTS; p++)
        make_part(&world, p);
    if (strcmp(mode, "fill") == 0) {
        fill(&world, limit << 20);
        _exit(0);
    }
    world.last_data = clock_mono();
    for (size_t i = 0; i < PARCELS; i++)
        world.sent[i].hand = HAND_READY;
    reconnect(&world);
    bool done = live(&world, world.kind ? DRAIN_MS : (int64_t)limit, !world.kind);
    return end(&world) && done ? 0 : 1;
}

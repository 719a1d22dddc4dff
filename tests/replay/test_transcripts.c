/* Replays the transcripts of tests/replay/transcripts: what was recorded on a line must still be
 * asked for, and must still decode to the golden values.
 *
 * A peer on loopback answers the recorded bytes to the recorded questions, byte for byte; the real
 * transport asks what today's planner plans, and the real decoder reads it. Every shipped profile
 * has a transcript. When a request is missing, tests/replay/transcripts/record records anew. */
#include <arpa/inet.h>
#include <dirent.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/class.h"
#include "drivers/decode.h"
#include "drivers/transcript.h"
#include "drivers/transport_frame.h"

#define FOLDER   SOURCE_DIR "/tests/replay/transcripts"
#define PROFILES SOURCE_DIR "/config/profiles"
#define AGAIN    "; if the planner has changed, run tests/replay/transcripts/record"

enum { TEXT_MAX = 1 << 20, EVERY_MS = 1000, MOUNT_HEIGHT = 10, TIMEOUT_MS = 2000 };

/* ---- the line that was recorded ---- */

struct peer {
    const struct transcript *transcript;
    int listener;
    uint16_t port;
    atomic_bool stop;
    pthread_t thread;
};

static bool receive(struct peer *peer, int fd, uint8_t *request)
{
    for (size_t have = 0; have < TRANSCRIPT_REQUEST_LENGTH;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (peer->stop)
            return false;
        if (poll(&wait, 1, 10) <= 0)
            continue;
        ssize_t got = read(fd, request + have, TRANSCRIPT_REQUEST_LENGTH - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static void *answer(void *context)
{
    struct peer *peer = context;
    uint8_t request[TRANSCRIPT_REQUEST_LENGTH];
    while (!peer->stop) {
        struct pollfd wait = {.fd = peer->listener, .events = POLLIN};
        int fd = poll(&wait, 1, 10) > 0 ? accept(peer->listener, NULL, NULL) : -1;
        while (fd >= 0 && receive(peer, fd, request)) {
            const struct transcript_exchange *said = transcript_find(peer->transcript, request);
            if (said != NULL && said->answer_length > 0)
                (void)!send(fd, said->answer, said->answer_length, MSG_NOSIGNAL);
        }
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

static void peer_start(struct peer *peer, const struct transcript *transcript)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    *peer = (struct peer){.transcript = transcript,
                          .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(peer->listener, 4), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&peer->thread, NULL, answer, peer), 0);
}

static void peer_stop(struct peer *peer)
{
    peer->stop = true;
    pthread_join(peer->thread, NULL);
    close(peer->listener);
}

/* ---- what is asked today ---- */

struct replay {
    const struct profile *profile;
    struct settings settings;
    struct settings_line line;
    struct settings_device device;
    struct plan *plan;
    struct value *values;
    size_t wrong;
};

__attribute__((format(printf, 2, 3))) static void complain(struct replay *replay,
                                                           const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_message("%s: %s\n", replay->profile->name, text);
    replay->wrong++;
}

/* As tests/replay/transcripts/record configures it: alone on a line with its own settings. */
static void replay_open(struct replay *replay, const struct profile *profile, uint8_t unit)
{
    static char name[] = "sensor";
    *replay = (struct replay){.profile = profile};
    replay->line = (struct settings_line){
        .name = name, .transport = TRANSPORT_RTU, .timeout_ms = 300, .serial = profile->serial};
    if (!profile->has_serial)
        replay->line.serial = (struct serial){9600, 8, 'N', 1};
    replay->device = (struct settings_device){
        .name = name,
        .unit = unit,
        .profile = profile,
        .sector = profile->sector,
        .every_ms = EVERY_MS,
        .points = calloc(profile->point_count, sizeof *replay->device.points)};
    replay->values = calloc(profile->point_count, sizeof *replay->values);
    assert_non_null(replay->device.points);
    assert_non_null(replay->values);
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        replay->device.points[i] =
            (struct settings_point){.every_ms = EVERY_MS,
                                    .mount_height = MOUNT_HEIGHT,
                                    .has_range = point->min != 0 || point->max != 0,
                                    .min = point->min,
                                    .max = point->max};
        replay->values[i].quality = QUALITY_STALE;
    }
    replay->settings = (struct settings){
        .lines = &replay->line, .line_count = 1, .devices = &replay->device, .device_count = 1};
    replay->plan = plan_new(&replay->settings);
    assert_non_null(replay->plan);
}

static void replay_close(struct replay *replay)
{
    plan_free(replay->plan);
    free(replay->device.points);
    free(replay->values);
}

static struct transport_request request_of(const struct replay *replay,
                                           const struct plan_read *read)
{
    uint32_t first = UINT32_MAX, end = 0;
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &replay->plan->blocks[read->blocks[i]];
        first = block->address < first ? block->address : first;
        end = block->address + block->count > end ? block->address + (uint32_t)block->count : end;
    }
    return (struct transport_request){read->unit, read->function, (uint16_t)first,
                                      (uint16_t)(end - first), 0};
}

static bool was_recorded(struct replay *replay, const struct transcript *transcript,
                         const struct transport_request *request)
{
    uint8_t bytes[TRANSCRIPT_REQUEST_LENGTH];
    transport_frame_rtu_request(request, bytes);
    if (transcript_find(transcript, bytes) != NULL)
        return true;
    complain(replay, "the transcript lacks %02X %02X %02X %02X %02X %02X %02X %02X" AGAIN, bytes[0],
             bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]);
    return false;
}

static void decode_read(struct replay *replay, const struct plan_read *read, uint16_t address,
                        const uint16_t *registers)
{
    for (uint16_t i = 0; i < read->block_count; i++) {
        const struct plan_block *block = &replay->plan->blocks[read->blocks[i]];
        struct value values[256];
        assert_true(block->point_count <= 256);
        decode_block(&replay->device, block, registers + (block->address - address), values);
        for (uint16_t p = 0; p < block->point_count; p++)
            replay->values[block->points[p]] = values[p];
    }
}

static void ask_all(struct replay *replay, const struct transcript *transcript)
{
    static char host[] = "127.0.0.1";
    struct peer peer;
    peer_start(&peer, transcript);
    struct settings_line line = replay->line;
    line.transport = TRANSPORT_RTU_OVER_TCP;
    line.host = host;
    line.port = peer.port;
    line.timeout_ms = TIMEOUT_MS;
    struct transport *transport = transport_new(&line);
    assert_non_null(transport);
    for (size_t i = 0; i < replay->plan->read_count; i++) {
        const struct plan_read *read = &replay->plan->reads[i];
        struct transport_request request = request_of(replay, read);
        uint16_t registers[2000];
        uint8_t exception = 0;
        char why[200] = "";
        if (!was_recorded(replay, transcript, &request))
            continue;
        if (transport_read(transport, &request, registers, &exception, why, sizeof why) !=
            OUTCOME_OK)
            complain(replay, "register 0x%04X: %s", request.address, why);
        else
            decode_read(replay, read, request.address, registers);
    }
    transport_free(transport);
    peer_stop(&peer);
}

/* ---- what it means ---- */

static bool is_value(const struct profile_point *point, const struct value *value, double golden)
{
    if (point->is_float)
        return fabs((double)value->real - golden) <= 1e-6 * fabs(golden);
    return fabs((double)value->steps - golden * pow(10, point->decimals)) < 0.01;
}

static void compare_line(struct replay *replay, const char *line)
{
    char name[64], unit[32], quality[32];
    double golden;
    if (sscanf(line, "%63s %lf %31s %31s", name, &golden, unit, quality) != 4) {
        complain(replay, "golden \"%s\" is not: name value unit quality", line);
        return;
    }
    int index = profile_point_index(replay->profile, name);
    if (index < 0) {
        complain(replay, "golden %s is no point of the profile", name);
        return;
    }
    const struct profile_point *point = &replay->profile->points[index];
    const struct value *value = &replay->values[index];
    if (strcmp(names_quality((enum quality)value->quality), quality) != 0)
        complain(replay, "%s is %s, golden is %s", name,
                 names_quality((enum quality)value->quality), quality);
    else if (!is_value(point, value, golden))
        complain(replay, "%s is not the golden %s", name, line + strlen(name) + 1);
    if (strcmp(point->unit, unit) != 0)
        complain(replay, "%s is in %s, golden in %s", name, point->unit, unit);
}

static void compare(struct replay *replay, const char *golden)
{
    size_t lines = 0;
    while (*golden != '\0') {
        char line[200];
        size_t length = strcspn(golden, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, golden);
        compare_line(replay, line);
        golden += length + (golden[length] == '\n');
        lines++;
    }
    if (lines != replay->profile->point_count)
        complain(replay, "%zu golden values for %zu points", lines, replay->profile->point_count);
}

/* The number of things that are wrong. */
static size_t replay_texts(const struct profile *profile, const char *text, const char *golden)
{
    struct transcript transcript;
    struct replay replay = {.profile = profile};
    char why[200];
    if (text == NULL || golden == NULL) {
        complain(&replay, "has no transcript: record one with `lifelinectl probe LINE --record`, "
                          "or play it with tests/replay/transcripts/record");
        return replay.wrong;
    }
    if (!transcript_parse(&transcript, text, why, sizeof why)) {
        complain(&replay, "transcript, %s", why);
        return replay.wrong;
    }
    assert_true(transcript.count > 0);
    replay_open(&replay, profile, transcript.exchanges[transcript.count - 1].request[0]);
    ask_all(&replay, &transcript);
    compare(&replay, golden);
    replay_close(&replay);
    transcript_free(&transcript);
    return replay.wrong;
}

/* NULL when there is none; free() it. */
static char *read_text(const char *name, const char *suffix)
{
    char path[1024];
    snprintf(path, sizeof path, FOLDER "/%s%s", name, suffix);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    char *text = calloc(1, TEXT_MAX + 1);
    assert_non_null(text);
    assert_true(fread(text, 1, TEXT_MAX, file) < TEXT_MAX);
    fclose(file);
    return text;
}

static struct probe_catalogue catalogue;

static int load(void **state)
{
    static const char *const dirs[] = {PROFILES};
    (void)state;
    return probe_catalogue_load(&catalogue, dirs, 1) ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    probe_catalogue_free(&catalogue);
    return 0;
}

static void every_profile_has_one_that_replays(void **state)
{
    (void)state;
    size_t wrong = 0;
    assert_true(catalogue.count >= 24);
    for (size_t i = 0; i < catalogue.count; i++) {
        const char *name = catalogue.profiles[i]->name;
        char *text = read_text(name, ".txt"), *golden = read_text(name, ".golden");
        wrong += replay_texts(catalogue.profiles[i], text, golden);
        free(text);
        free(golden);
    }
    assert_int_equal(wrong, 0);
}

/* A file that belongs to no profile is never replayed: somebody has renamed one of the two. */
static void every_transcript_has_its_profile(void **state)
{
    (void)state;
    DIR *folder = opendir(FOLDER);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[256];
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *dot = strrchr(name, '.');
        if (dot == NULL || dot == name || dot[1] == '\0')
            continue;
        *dot = '\0';
        if (probe_catalogue_find(&catalogue, name) == NULL)
            fail_msg("%s belongs to no profile", entry->d_name);
    }
    closedir(folder);
}

/* A replay that finds nothing would pass for ever. */
static void what_is_wrong_is_found(void **state)
{
    (void)state;
    const struct profile *tilt = probe_catalogue_find(&catalogue, "rs-dip-n01");
    assert_non_null(tilt);
    static const char text[] = "# a cover\n> 01 03 00 00 00 03 05 CB\n"
                               "< 01 03 06 00 7D FF DD 00 05 2D 52\n";
    static const char golden[] = "tilt_x 1.25 ° good\ntilt_y -0.35 ° good\ntilt_z 0.05 ° good\n";
    assert_int_equal(replay_texts(tilt, text, golden), 0);
    assert_int_equal(replay_texts(tilt, NULL, golden), 1);
    assert_int_equal(replay_texts(tilt, text, NULL), 1);
    static const struct {
        const char *text, *golden;
        size_t wrong;
    } cases[] = {
        {text, "tilt_x 1.26 ° good\ntilt_y -0.35 ° good\ntilt_z 0.05 ° good\n", 1},
        {text, "tilt_x 1.25 m good\ntilt_y -0.35 ° good\ntilt_z 0.05 ° good\n", 1},
        {text, "tilt_x 1.25 ° invalid\ntilt_y -0.35 ° good\ntilt_z 0.05 ° good\n", 1},
        {text, "tilt_x 1.25 ° good\ntilt_y -0.35 ° good\n", 1},
        {text, "tilt_x 1.25 ° good\ntilt_y -0.35 ° good\ntilt_w 0.05 ° good\n", 1},
        /* No request of today: every value is missing too. */
        {"> 01 03 00 00 00 02 C4 0B\n< 01 03 04 00 7D FF DD 2A 46\n", golden, 4},
        /* A wrong CRC, as it came; and nothing. */
        {"> 01 03 00 00 00 03 05 CB\n< 01 03 06 00 7D FF DD 00 05 2D 53\n", golden, 4},
        {"> 01 03 00 00 00 03 05 CB\n< timeout\n", golden, 4},
        {"> 01 03 00 00 00 03 05 CB\n", golden, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t wrong = replay_texts(tilt, cases[i].text, cases[i].golden);
        if (wrong != cases[i].wrong)
            fail_msg("case %zu: %zu complaints", i, wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_has_one_that_replays),
        cmocka_unit_test(every_transcript_has_its_profile),
        cmocka_unit_test(what_is_wrong_is_found),
    };
    return cmocka_run_group_tests(tests, load, unload);
}

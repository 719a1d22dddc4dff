/* wal.c: logs that SQLite wrote, whole, torn and damaged.
 *
 * A real database with a real log in a folder under /tmp; every frame has a bit flipped in its
 * head, its checksum and its page, and so has every byte of the log's own head. */
#include "gateway/store/wal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

enum { HEAD = 32, FRAME = 24 + 4096, COMMITS = 4 };

struct world {
    char folder[64], path[96], log[104];
    sqlite3 *db;
    long frames, newest; /* where the newest commit begins */
};

static void execute(const struct world *world, const char *sql)
{
    assert_int_equal(sqlite3_exec(world->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static long size_of(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (long)file.st_size : -1;
}

/* A database with some commits in its log; its connection stays open, as that of a process that
 * has died. */
static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/lifeline-wal-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/store.db", world->folder);
    snprintf(world->log, sizeof world->log, "%s-wal", world->path);
    assert_int_equal(sqlite3_open(world->path, &world->db), SQLITE_OK);
    execute(world, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                   "CREATE TABLE t(x); PRAGMA wal_checkpoint(TRUNCATE)");
    for (int i = 0; i < COMMITS; i++) {
        world->newest = (size_of(world->log) - HEAD) / FRAME;
        execute(world, "INSERT INTO t VALUES(randomblob(6000))");
    }
    world->frames = (size_of(world->log) - HEAD) / FRAME;
    assert_true(world->frames >= 2 * COMMITS);
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    sqlite3_close(world->db);
    unlink(world->log);
    unlink(world->path);
    char shm[104];
    snprintf(shm, sizeof shm, "%s-shm", world->path);
    unlink(shm);
    rmdir(world->folder);
    free(world);
    return 0;
}

static void flip(const struct world *world, long at)
{
    uint8_t byte = 0;
    int fd = open(world->log, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void a_whole_one(void **state)
{
    const struct world *world = *state;
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
}

static void none_is_left_after_a_good_end(void **state)
{
    struct world *world = *state;
    sqlite3_close(world->db);
    assert_int_equal(wal_look(world->path), WAL_NONE);
    assert_int_equal(truncate(world->path, 0), 0);
    close(open(world->log, O_CREAT | O_WRONLY, 0600)); /* as a checkpoint leaves it */
    assert_int_equal(wal_look(world->path), WAL_NONE);
    assert_int_equal(sqlite3_open(":memory:", &world->db), SQLITE_OK);
}

/* The last frame, or all of the last commit but its end: nobody was told that it was written. */
static void a_cut_in_the_last_frame(void **state)
{
    const struct world *world = *state;
    flip(world, HEAD + (world->frames - 2) * FRAME + 100);
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
    assert_int_equal(truncate(world->log, size_of(world->log) - 1000), 0);
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
}

/* Behind the frames of this log stand those of the one before. */
static void an_older_log_lies_behind(void **state)
{
    const struct world *world = *state;
    execute(world, "PRAGMA wal_checkpoint(FULL); INSERT INTO t VALUES(1)");
    assert_int_equal((size_of(world->log) - HEAD) / FRAME, world->frames);
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
}

static void a_flipped_bit_anywhere(void **state)
{
    const struct world *world = *state;
    for (long frame = 0; frame < world->frames; frame++) {
        static const long places[] = {0, 17, 24, 4000};
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            long at = HEAD + frame * FRAME + places[i];
            flip(world, at);
            assert_int_equal(wal_look(world->path), frame < world->newest ? WAL_BROKEN : WAL_WHOLE);
            flip(world, at);
        }
    }
    for (long at = 0; at < HEAD; at++) {
        flip(world, at);
        assert_int_equal(wal_look(world->path), WAL_BROKEN);
        flip(world, at);
    }
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
}

/* The first sector of the card is gone; or nothing but a head was ever there. */
static void without_its_head(void **state)
{
    static const char zeros[512];
    const struct world *world = *state;
    int fd = open(world->log, O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 0), sizeof zeros);
    close(fd);
    assert_int_equal(wal_look(world->path), WAL_BROKEN);
    assert_int_equal(truncate(world->log, HEAD + FRAME), 0);
    assert_int_equal(wal_look(world->path), WAL_BROKEN);
    assert_int_equal(truncate(world->log, HEAD + FRAME - 1), 0);
    assert_int_equal(wal_look(world->path), WAL_WHOLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_one),
        TEST(none_is_left_after_a_good_end),
        TEST(a_cut_in_the_last_frame),
        TEST(an_older_log_lies_behind),
        TEST(a_flipped_bit_anywhere),
        TEST(without_its_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

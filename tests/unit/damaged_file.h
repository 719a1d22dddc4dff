/* Damage to the file of a store, for its unit tests. */
#ifndef LIFELINE_DAMAGED_FILE_H
#define LIFELINE_DAMAGED_FILE_H

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/store_uplink.h"

enum { PAGE = 4096 };

/* A store that owes `count` readings. */
static inline void make_store(struct world *world, int64_t count)
{
    start(world);
    for (int64_t value = 0; value < count; value += 10)
        put_closed(world, SECTOR_GAS, value, 10);
    end_of(world, SECTOR_GAS, (uint64_t)count / 10, 0);
    close_store(world);
}

static inline void set_aside(const struct world *world, const char *suffix)
{
    char from[200], to[200];
    snprintf(from, sizeof from, "%s%s", world->path, suffix);
    snprintf(to, sizeof to, "%s.corrupt-1000000000000%s", world->path, suffix);
    assert_int_equal(rename(from, to), 0);
}

/* By SQL. */
static inline void change(const struct world *world, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static inline void overwrite(const char *path, off_t at, size_t length)
{
    static const char zeros[PAGE];
    int fd = open(path, O_WRONLY);
    for (size_t done = 0; done < length; done += PAGE)
        assert_int_equal(pwrite(fd, zeros, PAGE, at + (off_t)done), PAGE);
    close(fd);
}

/* The root of the table of segments, or its n-th leaf: leaves begin with 13, and those of segments
 * are the ones with many cells. */
static inline off_t page_of(const struct world *world, int leaf)
{
    struct stat file;
    off_t at = 0;
    int fd = open(world->path, O_RDONLY), leaves = 0;
    assert_int_equal(fstat(fd, &file), 0);
    for (off_t page = PAGE; page < file.st_size && !at; page += PAGE) {
        uint8_t head[8];
        assert_int_equal(pread(fd, head, sizeof head, page), sizeof head);
        bool many = (head[3] << 8 | head[4]) > 20;
        if (many && head[0] == (leaf ? 13 : 5) && (!leaf || ++leaves == leaf))
            at = page;
    }
    close(fd);
    assert_true(at > 0);
    return at;
}

/* How many damaged files are kept; a file that is gone beside one is saved from it again. */
static inline size_t count_aside(const struct world *world, bool remove)
{
    glob_t found;
    char pattern[200];
    snprintf(pattern, sizeof pattern, "%s.corrupt-*[0-9]", world->path);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    size_t count = found.gl_pathc;
    for (size_t i = 0; remove && i < count; i++)
        unlink(found.gl_pathv[i]);
    globfree(&found);
    return count;
}

static inline void remove_store(const struct world *world)
{
    char log[200];
    count_aside(world, true);
    unlink(world->path);
    snprintf(log, sizeof log, "%s-wal", world->path);
    unlink(log);
}

#endif

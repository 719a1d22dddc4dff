/* Looks at a log before SQLite does. Main() at the start, and the store thread on the way back to a
 * disk; before the database is opened.
 * SQLite takes a log up to the first frame whose checksum is wrong and drops the rest without a
 * word. That is right for the commit that a power cut has torn. A flipped bit looks the same, and
 * costs commits that were whole, out of which numbers were given: so where another commit of this
 * log ends behind the torn one, or its own head is gone, the numbers are in doubt. Never changes
 * the log. */
#include "gateway/store/wal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The file format of SQLite, section 4 */
enum {
    HEAD = 32,
    FRAME_HEAD = 24,
    PAGE_BYTES = 4096,
    SUMMED = 8, /* bytes of a frame's head that its checksum covers */
    SALT_AT = 16,
    COMMIT_AT = 4, /* of a frame that ends a commit: not 0 */
    FRAME_SALT_AT = 8,
    SALT = 8,
    HEAD_SUM_AT = 24,
    FRAME_SUM_AT = 16,
};
#define MAGIC 0x377f0682u /* and one more where checksums are big-endian */

struct sum {
    bool big;
    uint32_t s1, s2;
};

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t word(const struct sum *sum, const uint8_t *at)
{
    return sum->big ? big_endian(at) : __builtin_bswap32(big_endian(at));
}

static void add(struct sum *sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 8) {
        sum->s1 += word(sum, bytes + i) + sum->s2;
        sum->s2 += word(sum, bytes + i + 4) + sum->s1;
    }
}

static bool is_sum(const struct sum *sum, const uint8_t *at)
{
    return sum->s1 == big_endian(at) && sum->s2 == big_endian(at + 4);
}

static bool is_head(const uint8_t head[HEAD], struct sum *sum)
{
    *sum = (struct sum){.big = big_endian(head) & 1};
    add(sum, head, HEAD_SUM_AT);
    return (big_endian(head) & ~1u) == MAGIC && big_endian(head + 8) == PAGE_BYTES &&
           is_sum(sum, head + HEAD_SUM_AT);
}

static enum wal_state judge(FILE *log)
{
    uint8_t head[HEAD], frame[FRAME_HEAD + PAGE_BYTES];
    struct sum sum;
    int commits = 0; /* that do not count */
    if (fread(head, HEAD, 1, log) != 1)
        return WAL_WHOLE;
    bool whole = is_head(head, &sum);
    /* the head is synced before anything follows it: nobody can tell what these frames were */
    if (!whole)
        return fread(frame, sizeof frame, 1, log) == 1 ? WAL_BROKEN : WAL_WHOLE;
    while (fread(frame, sizeof frame, 1, log) == 1) {
        bool ours = memcmp(frame + FRAME_SALT_AT, head + SALT_AT, SALT) == 0;
        if (whole) {
            add(&sum, frame, SUMMED);
            add(&sum, frame + FRAME_HEAD, PAGE_BYTES);
            whole = ours && is_sum(&sum, frame + FRAME_SUM_AT);
        }
        if (!whole && ours && big_endian(frame + COMMIT_AT))
            commits++;
    }
    return commits > 1 ? WAL_BROKEN : WAL_WHOLE;
}

enum wal_state wal_look(const char *path)
{
    char name[4200];
    snprintf(name, sizeof name, "%s-wal", path);
    FILE *log = fopen(name, "re");
    if (!log)
        return WAL_NONE;
    bool empty = fgetc(log) == EOF;
    rewind(log);
    enum wal_state state = empty ? WAL_NONE : judge(log);
    fclose(log);
    return state;
}

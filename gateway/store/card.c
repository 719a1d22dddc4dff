/* Finds the block device of a path in sysfs and forecasts when it is worn out.
 *
 * Any thread; owns nothing. JEDEC's rating of a card is TBW = capacity x erase cycles / write
 * amplification, and few makers print it. We count 3000 cycles, the usual rating of MLC and 3D TLC
 * flash, and 4 bytes of flash for each byte written, as small synchronous writes cost that much.
 * A pseudo-SLC card lasts ten times longer, a cheap SD card less: hence what the card itself says
 * of its wear (eMMC 5: DEVICE_LIFE_TIME_EST and PRE_EOL_INFO, JESD84-B51) comes off the count.
 * Never writes, never asks the device itself. */
#include "gateway/store/card.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, LIFE_OVER = 11, PATH_BYTES = 512 };

/* The first line of folder/name; false when there is none. */
static bool read_line(const char *folder, const char *name, char *out, size_t size)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    bool ok = file && fgets(out, (int)size, file);
    if (file)
        fclose(file);
    return ok;
}

/* /sys/dev/block/179:2 is a link to .../mmcblk0/mmcblk0p2; a partition's card is one up. */
static bool find_device(const char *sysfs, const char *path, char *out)
{
    struct stat file;
    char link[PATH_BYTES], part[2 * PATH_BYTES], *folder;
    if (stat(path, &file) != 0)
        return false;
    snprintf(link, sizeof link, "%s/dev/block/%u:%u", sysfs, major(file.st_dev),
             minor(file.st_dev));
    folder = realpath(link, NULL);
    if (!folder)
        return false;
    snprintf(part, sizeof part, "%s/partition", folder);
    char *slash = access(part, F_OK) == 0 ? strrchr(folder, '/') : NULL;
    if (slash)
        *slash = '\0';
    snprintf(out, PATH_BYTES, "%s", folder);
    free(folder);
    return true;
}

/* life_time "0x01 0x03": two kinds of memory, each n: (n - 1) x 10 ... n x 10 percent of its life
 * is used. pre_eol_info: 2 when 80 percent of the spare blocks are used, 3 when 90 are. */
static int worn(const char *folder)
{
    char line[64];
    unsigned a = 0, b = 0, spare = 0;
    if (!read_line(folder, "device/life_time", line, sizeof line) ||
        sscanf(line, "%x %x", &a, &b) < 1)
        a = b = 0;
    if (!read_line(folder, "device/pre_eol_info", line, sizeof line) ||
        sscanf(line, "%x", &spare) < 1)
        spare = 0;
    unsigned most = a > b ? a : b;
    int by_spare = spare == 2 ? 80 : spare == 3 ? 90 : -1;
    int by_life = most == 0 ? -1 : most >= LIFE_OVER ? 100 : (int)most * 10;
    return by_life > by_spare ? by_life : by_spare;
}

void card_look(const char *sysfs, const char *path, struct card *out)
{
    char folder[PATH_BYTES], line[64];
    *out = (struct card){.worn_percent = -1};
    if (!find_device(sysfs, path, folder))
        return;
    if (read_line(folder, "queue/rotational", line, sizeof line) && line[0] == '1')
        return;
    if (read_line(folder, "size", line, sizeof line))
        out->bytes = strtoumax(line, NULL, 10) * SECTOR_BYTES;
    out->worn_percent = worn(folder);
    snprintf(out->name, sizeof out->name, "%s", strrchr(folder, '/') + 1);
}

double card_years(const struct card *card, uint64_t bytes_day)
{
    if (!card->bytes || !bytes_day)
        return -1;
    double left = card->worn_percent < 0 ? 1 : 1 - card->worn_percent / 100.0;
    double days = (double)card->bytes * CARD_CYCLES / CARD_AMPLIFICATION * left / (double)bytes_day;
    double years = days / 365.25;
    return years < CARD_YEARS_MAX ? years : CARD_YEARS_MAX;
}

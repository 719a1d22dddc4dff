/* The flash card under a file: how large, how worn, how long it will last. */
#ifndef LIFELINE_CARD_H
#define LIFELINE_CARD_H

#include <stdint.h>

struct card {
    char name[32];    /* "mmcblk0"; "" = no block device (a tmpfs), or a disk that turns */
    uint64_t bytes;   /* 0 = unknown */
    int worn_percent; /* as the card itself says, in steps of ten; -1 = it says nothing */
};

/* sysfs is "/sys". What cannot be read stays unknown. */
void card_look(const char *sysfs, const char *path, struct card *out);

/* A card has done its work after so many bytes written:
 * bytes x CARD_CYCLES / CARD_AMPLIFICATION. */
enum { CARD_CYCLES = 3000, CARD_AMPLIFICATION = 4, CARD_YEARS_MAX = 100 };

/* Years until then at this rate, at most CARD_YEARS_MAX; negative = unknown. */
double card_years(const struct card *card, uint64_t bytes_day);

#endif

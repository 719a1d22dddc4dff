/* How wide a character is on a terminal: a cabinet may run LANG=C behind a Chinese terminal, so no
 * wcwidth() of the C library is asked.
 *
 * Pure. The wide ranges are W and F of EastAsianWidth.txt, Unicode 14.0, with what is not assigned
 * between two of them, and 3248-324F and 4DC0-4DFF, which terminals take for wide; "ambiguous"
 * characters (°, ±, …) take one column. Of the combining marks
 * (Mn, Me, Cf of UnicodeData.txt 14.0) only those are here that stand upon Latin, Chinese, Japanese
 * and Korean text or within emoji. */
#include "gateway/ctl/width.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct range {
    uint32_t first, last;
};

/* Sorted. */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},
    {0x23f0, 0x23f0},   {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},
    {0x2648, 0x2653},   {0x267f, 0x267f},   {0x2693, 0x2693},   {0x26a1, 0x26a1},
    {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce},
    {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},
    {0x2728, 0x2728},   {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},
    {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18d08}, {0x1aff0, 0x1b2fb}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
    {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335},
    {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3},
    {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440},
    {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567},
    {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f},
    {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6df},
    {0x1f6eb, 0x1f6ef}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7f0}, {0x1f90c, 0x1f93a},
    {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faf6}, {0x20000, 0x2fffd},
    {0x30000, 0x3fffd}};

static const struct range combining[] = {
    {0x300, 0x36f},   {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff},  {0x200b, 0x200d}, {0x2060, 0x2064},
    {0x20d0, 0x20f0}, {0x302a, 0x302d},   {0x3099, 0x309a},  {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff}, {0xe0020, 0xe007f}, {0xe0100, 0xe01ef}};

/* Orders to the terminal, and what turns the direction of the text around it. */
static const struct range hidden[] = {{0x0, 0x1f},      {0x7f, 0x9f},     {0x61c, 0x61c},
                                      {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x206f},
                                      {0xfff9, 0xfffb}};

static bool is_in(const struct range *ranges, size_t count, uint32_t code)
{
    size_t from = 0, to = count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (code > ranges[middle].last)
            from = middle + 1;
        else if (code < ranges[middle].first)
            to = middle;
        else
            return true;
    }
    return false;
}

#define IS_IN(ranges, code) is_in(ranges, sizeof ranges / sizeof *ranges, code)

/* Length of the character, 0 when there is none: cut off, overlong, a surrogate, beyond 10FFFF. */
static size_t decode(const char *text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 0 || first > 0xf4)
        return 0;
    *code = length == 1 ? first : first & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    bool good = *code >= least[length] && *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff);
    return good ? length : 0;
}

size_t width_next(const char *text, int *columns)
{
    uint32_t code;
    size_t length = decode(text, &code);
    if (length == 0 || IS_IN(hidden, code))
        *columns = WIDTH_REPLACED;
    else if (IS_IN(combining, code))
        *columns = 0;
    else
        *columns = IS_IN(wide, code) ? 2 : 1;
    return length ? length : 1;
}

size_t width_fitting(const char *text, int columns, int *used)
{
    size_t length = 0;
    *used = 0;
    while (text[length]) {
        int width;
        size_t bytes = width_next(text + length, &width);
        width = width == WIDTH_REPLACED ? 1 : width;
        if (*used + width > columns)
            break;
        *used += width;
        length += bytes;
    }
    return length;
}

int width_of(const char *text)
{
    int used;
    width_fitting(text, INT_MAX, &used);
    return used;
}

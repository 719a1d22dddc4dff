/* The notation of single values in configurations and profiles.
 *
 * Pure functions over a text; any thread. They never guess: a number without its unit, a trailing
 * letter or an overflow is refused, and the caller says what would be right. */
#include "config/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct suffix {
    const char *text;
    int64_t factor;
};

bool scalar_integer(const char *text, int64_t *out)
{
    const char *digits = text + (text[0] == '-');
    bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (!(hex ? isxdigit((unsigned char)digits[2]) : isdigit((unsigned char)digits[0])))
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, hex ? 16 : 10);
    if (*end != '\0' || errno != 0)
        return false;
    *out = value;
    return true;
}

bool scalar_number(const char *text, double *out)
{
    /* strtod() would also take inf, nan, hexadecimal floats and leading blanks. */
    if (text[0] == '\0' || strspn(text, "+-0123456789.eE") != strlen(text))
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

static bool with_suffix(const char *text, const struct suffix *suffixes, size_t count, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18)
        return false;
    int64_t value = strtoll(text, NULL, 10);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, suffixes[i].text) == 0)
            return !__builtin_mul_overflow(value, suffixes[i].factor, out);
    }
    return false;
}

bool scalar_duration(const char *text, int64_t *out)
{
    static const struct suffix suffixes[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    return with_suffix(text, suffixes, sizeof(suffixes) / sizeof(suffixes[0]), out);
}

bool scalar_size(const char *text, int64_t *out)
{
    static const struct suffix suffixes[] = {
        {"B", 1},
        {"KiB", 1 << 10},
        {"MiB", 1 << 20},
        {"GiB", 1 << 30},
    };
    return with_suffix(text, suffixes, sizeof(suffixes) / sizeof(suffixes[0]), out);
}

/* The rates that a serial port of Linux can be set to, from the slowest that sensors have. */
static bool is_baud(uint32_t baud)
{
    static const uint32_t rates[] = {300,   600,    1200,   2400,   4800,   9600,   19200, 38400,
                                     57600, 115200, 230400, 460800, 500000, 576000, 921600};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        if (rates[i] == baud)
            return true;
    }
    return false;
}

bool scalar_serial(const char *text, struct serial *out)
{
    size_t digits = strspn(text, "0123456789");
    const char *frame = text + digits;
    if (digits == 0 || digits > 7 || strlen(frame) != 4 || frame[0] != ' ')
        return false;
    if ((frame[1] != '7' && frame[1] != '8') || strchr("NEO", frame[2]) == NULL ||
        (frame[3] != '1' && frame[3] != '2'))
        return false;
    uint32_t baud = (uint32_t)strtoul(text, NULL, 10);
    if (!is_baud(baud))
        return false;
    *out = (struct serial){
        .baud = baud,
        .data_bits = (uint8_t)(frame[1] - '0'),
        .parity = frame[2],
        .stop_bits = (uint8_t)(frame[3] - '0'),
    };
    return true;
}

bool scalar_serial_is_same(const struct serial *a, const struct serial *b)
{
    return a->baud == b->baud && a->data_bits == b->data_bits && a->parity == b->parity &&
           a->stop_bits == b->stop_bits;
}

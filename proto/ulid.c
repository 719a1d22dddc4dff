/* ULIDs: 128 bits, five at a time, the highest first. The first character holds three bits, so that
 * none begins above 7.
 *
 * Pure; called by any thread. Never draws random bits itself and never looks at a clock. */
#include "proto/ulid.h"

#include <string.h>

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define MS_MAX ((INT64_C(1) << 48) - 1)

void ulid_encode(char out[ULID_LENGTH + 1], int64_t ms, const uint8_t random[ULID_RANDOM])
{
    uint8_t bytes[16];
    ms = ms < 0 ? 0 : ms > MS_MAX ? MS_MAX : ms;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (8 * (5 - i)));
    memcpy(bytes + 6, random, ULID_RANDOM);
    for (int i = 0; i < ULID_LENGTH; i++) {
        int value = 0;
        for (int bit = 5 * i - 2; bit < 5 * i + 3; bit++) /* two zero bits go before the first */
            value = value << 1 | (bit < 0 ? 0 : bytes[bit / 8] >> (7 - bit % 8) & 1);
        out[i] = digits[value];
    }
    out[ULID_LENGTH] = '\0';
}

void ulid_first(char out[ULID_LENGTH + 1], int64_t ms)
{
    static const uint8_t zero[ULID_RANDOM];
    ulid_encode(out, ms, zero);
}

bool ulid_is(const char *text)
{
    return strlen(text) == ULID_LENGTH && strspn(text, digits) == ULID_LENGTH && text[0] <= '7';
}

/* Names of points against what a person typed: in the API, in the command line, in a query.
 *
 * Pure; any thread. Bytes are compared, so that ? is one byte of 汉字. Never slow, whatever the
 * pattern: it goes back to the last * only. */
#include "gateway/pattern.h"

#include <stdio.h>

enum { FULL_NAME_BYTES = 256 };

static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool pattern_fits(const char *pattern, const char *device, const char *point)
{
    char full[FULL_NAME_BYTES];
    if (glob(pattern, device))
        return true;
    snprintf(full, sizeof full, "%s.%s", device, point);
    return glob(pattern, full);
}

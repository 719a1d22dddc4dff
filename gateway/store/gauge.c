/* What the store costs and how long it will last: bytes written to flash, a day's worth of them,
 * years until the card is worn, hours until the quota is full.
 *
 * Store thread; owns nothing but a few numbers in struct store. Flash is what the kernel counts for
 * the whole process, of which only the store writes. Rates are over the last day: a week of calm
 * does not hide a new setting, and a busy minute does not wear a card out.
 * Never decides anything. */
#include "gateway/store/gauge.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/store/card.h"
#include "gateway/store/internal.h"

enum { SETTLED_MS = 60000, HOUR_MS = 3600000 }; /* rates before that would be noise */

static uint64_t flash_bytes(void)
{
    char line[128];
    uint64_t bytes = 0;
    FILE *io = fopen("/proc/self/io", "re");
    while (io && fgets(line, sizeof line, io)) {
        if (sscanf(line, "write_bytes: %" SCNu64, &bytes) == 1)
            break;
    }
    if (io)
        fclose(io);
    return bytes;
}

static uint64_t per_day(uint64_t bytes, int64_t ms)
{
    return (uint64_t)((double)bytes * 24 * HOUR_MS / (double)ms);
}

struct gauge_rate gauge_note(struct gauge *gauge, const struct gauge_mark *now)
{
    const struct gauge_mark *newest = &gauge->marks[(gauge->count + GAUGE_HOURS - 1) % GAUGE_HOURS];
    if (!gauge->count || clock_ms_between(newest->at, now->at) >= HOUR_MS)
        gauge->marks[gauge->count++ % GAUGE_HOURS] = *now;
    const struct gauge_mark *oldest =
        &gauge->marks[gauge->count > GAUGE_HOURS ? gauge->count % GAUGE_HOURS : 0];
    int64_t ms = clock_ms_between(oldest->at, now->at);
    if (ms < SETTLED_MS)
        return (struct gauge_rate){0};
    return (struct gauge_rate){per_day(now->flash_bytes - oldest->flash_bytes, ms),
                               per_day(now->row_bytes - oldest->row_bytes, ms)};
}

void gauge_read(struct store *store, struct store_status *out)
{
    const struct gauge_mark now = {clock_mono(), flash_bytes(), store->row_bytes};
    const struct gauge_rate rate = gauge_note(&store->gauge, &now);
    struct card card;
    card_look("/sys", store->settings->store.path, &card);
    out->flash_bytes = now.flash_bytes;
    out->flash_bytes_day = rate.flash_day;
    out->card_bytes = card.bytes;
    out->card_worn_percent = card.worn_percent;
    out->card_years = card_years(&card, rate.flash_day);
    snprintf(out->card_name, sizeof out->card_name, "%s", card.name);
    uint64_t left = out->quota_bytes > out->bytes ? out->quota_bytes - out->bytes : 0;
    out->hours_left = rate.rows_day ? (uint64_t)((double)left * 24 / (double)rate.rows_day) : 0;
}

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
#include "gateway/store/trim.h"

enum { SETTLED_MS = 60000, HOUR_MS = 3600000 }; /* rates before that would be noise */

uint64_t gauge_flash(const char *path, uint64_t before)
{
    char line[128];
    uint64_t bytes = 0;
    FILE *io = fopen(path, "re");
    while (io && fgets(line, sizeof line, io)) {
        if (sscanf(line, "write_bytes: %" SCNu64, &bytes) == 1)
            break;
    }
    if (io)
        fclose(io);
    return bytes > before ? bytes : before;
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

uint64_t gauge_hours(uint64_t bytes, const struct gauge_rate *rate)
{
    if (!rate->rows_day)
        return 0;
    uint64_t hours = (uint64_t)((double)bytes * 24 / (double)rate->rows_day);
    return hours ? hours : 1; /* 0 says that nobody knows */
}

void gauge_read(struct store *store, struct store_status *out)
{
    const struct gauge_mark now = {clock_mono(), gauge_flash("/proc/self/io", out->flash_bytes),
                                   store->row_bytes};
    const struct gauge_rate rate = gauge_note(&store->gauge, &now);
    struct card card;
    card_look("/sys", store->settings->store.path, &card);
    out->flash_bytes = now.flash_bytes;
    out->flash_bytes_day = rate.flash_day;
    out->card_bytes = card.bytes;
    out->card_worn_percent = card.worn_percent;
    out->card_years = card_years(&card, rate.flash_day);
    snprintf(out->card_name, sizeof out->card_name, "%s", card.name);
    uint64_t used = trim_used(store);
    out->hours_left = gauge_hours(out->quota_bytes > used ? out->quota_bytes - used : 0, &rate);
}

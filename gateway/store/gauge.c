/* What the store costs and how long it will last: bytes written to flash, a day's worth of them,
 * hours until the quota is full. Store thread; owns nothing but a few numbers in struct store.
 * Flash is what the kernel counts for the whole process, of which only the store writes; rates are
 * over the time since start. Never decides anything. */
#include "gateway/store/internal.h"

#include <inttypes.h>
#include <string.h>

enum { SETTLED_MS = 60000 }; /* rates before that would be noise */

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

void gauge_read(struct store *store, struct store_status *out)
{
    int64_t ms = clock_ms_between(store->started, clock_mono());
    out->flash_bytes = flash_bytes();
    out->quota_bytes = store->settings->store.max_size;
    if (ms < SETTLED_MS)
        return;
    out->flash_bytes_day = out->flash_bytes * 86400 / (uint64_t)(ms / 1000);
    uint64_t bytes_hour = store->row_bytes * 3600 / (uint64_t)(ms / 1000);
    uint64_t left = out->quota_bytes > out->bytes ? out->quota_bytes - out->bytes : 0;
    out->hours_left = bytes_hour ? left / bytes_hour : 0;
}

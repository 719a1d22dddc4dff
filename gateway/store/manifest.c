/* Manifests, put together from the Device and Point bodies that the store keeps.
 * Store thread. A part is a payload that stands alone: it repeats the Device of every Point it
 * holds. The whole list is walked for every part: seldom enough, when a connection begins, after a
 * reload, and around the rows of an older epoch; nothing is kept in memory meanwhile. Never gives
 * an id (identity.c does). */
#include "gateway/store/internal.h"

#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "proto/varint.h"
#include "gateway/store/backlog.h"
#include "gateway/store/database.h"
#include "gateway/store/fetch.h"
#include "gateway/store/manifest.h"

enum {
    HEAD_MAX = 160,     /* header fields, generously */
    DEVICE_TAG = 0x42,  /* Manifest.devices = 8 */
    POINT_TAG = 0x4a,   /* Manifest.points = 9 */
    RETIRED_TAG = 0x50, /* field 10 of Device and of Point */
};

struct walk {
    struct parcel *parcel;
    size_t budget;
    uint32_t part;     /* that the item at hand falls into */
    size_t part_size;  /* of it so far */
    uint64_t revision; /* FNV-1a over every item */
};

/* A Device or Point as a field of the Manifest. */
struct item {
    uint8_t tag;
    const uint8_t *body;
    size_t length;
    bool retired;
};

static size_t item_size(const struct item *item)
{
    size_t inner = item->length + (item->retired ? 2 : 0);
    return 1 + varint_size(inner) + inner;
}

static void digest(struct walk *walk, const struct item *item)
{
    for (size_t i = 0; i < item->length; i++)
        walk->revision = (walk->revision ^ item->body[i]) * UINT64_C(0x100000001b3);
    walk->revision = (walk->revision ^ item->retired) * UINT64_C(0x100000001b3);
}

static bool append(struct walk *walk, const struct item *item)
{
    size_t size = item_size(item);
    walk->part_size += size;
    if (walk->part != walk->parcel->part)
        return true;
    struct parcel *parcel = walk->parcel;
    if (!fetch_reserve(parcel, parcel->length + size))
        return false;
    uint8_t *out = parcel->bytes + parcel->length;
    *out++ = item->tag;
    out = varint_put(out, item->length + (item->retired ? 2 : 0));
    memcpy(out, item->body, item->length);
    if (item->retired)
        memcpy(out + item->length, (uint8_t[]){RETIRED_TAG, 1}, 2);
    parcel->length += size;
    return true;
}

static struct item read_item(sqlite3_stmt *s, uint8_t tag)
{
    return (struct item){tag, sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2),
                         sqlite3_column_int64(s, 1) != 0};
}

/* A device and its points; a part that is full goes on in the next, device first. */
static bool walk_device(struct store *store, struct walk *walk, uint32_t ordinal, int64_t id,
                        const struct item *device)
{
    bool begun = false, ok = true;
    digest(walk, device);
    sqlite3_stmt *s = database_statement(store, STATEMENT_POINT_LIST);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, id);
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        struct item point = read_item(s, POINT_TAG);
        size_t size = item_size(&point) + (begun ? 0 : item_size(device));
        if (walk->part_size && walk->part_size + size > walk->budget) {
            walk->part++;
            walk->part_size = 0;
            begun = false;
        }
        digest(walk, &point);
        ok = (begun || append(walk, device)) && append(walk, &point);
        begun = true;
    }
    sqlite3_reset(s);
    return ok;
}

static bool walk_sector(struct store *store, struct walk *walk, uint32_t ordinal,
                        enum sector sector)
{
    bool ok = true;
    sqlite3_stmt *s = database_statement(store, STATEMENT_DEVICE_LIST);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, sector);
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        struct item device = read_item(s, DEVICE_TAG);
        ok = walk_device(store, walk, ordinal, sqlite3_column_int64(s, 0), &device);
    }
    sqlite3_reset(s);
    return ok;
}

/* Puts the header in front of the items. */
static bool finish(struct store *store, struct walk *walk)
{
    struct parcel *parcel = walk->parcel;
    const struct settings_gateway *gateway = &store->settings->gateway;
    Lifeline__V1__Manifest head = LIFELINE__V1__MANIFEST__INIT;
    head.gateway = gateway->id;
    head.region = gateway->region;
    head.epoch = parcel->epoch;
    head.sector = (Lifeline__V1__Sector)parcel->sector;
    head.revision = (walk->revision & ((UINT64_C(1) << 53) - 1)) | 1;
    head.part = parcel->part;
    head.parts = parcel->parts;
    uint8_t bytes[HEAD_MAX];
    size_t length = message_pack(&head.base, bytes, sizeof bytes);
    if (!length || !fetch_reserve(parcel, parcel->length + length))
        return false;
    memmove(parcel->bytes + length, parcel->bytes, parcel->length);
    memcpy(parcel->bytes, bytes, length);
    parcel->length += length;
    return true;
}

/* The most parts that were ever handed out, kept on disk: what lies above the present number is to
 * be cleared at the broker. It only grows, so that a crash in between forgets nothing. */
static uint32_t most_parts(struct store *store, const struct debtor *debtor, enum sector sector,
                           uint32_t parts)
{
    char key[64];
    snprintf(key, sizeof key, "parts %lld %s", (long long)debtor->row, names_sector(sector));
    int64_t most = database_meta(store, key, 0);
    if (most >= parts)
        return (uint32_t)most;
    /* where the disk refuses, nothing was told either: the next connection tries again */
    return database_meta_set(store, key, parts) ? parts : (uint32_t)most;
}

bool manifest_fetch(struct store *store, const struct debtor *debtor, struct parcel *parcel)
{
    size_t e = store->epoch_count - 1;
    while (e > 0 && store->epochs[e].number != parcel->epoch)
        e--;
    parcel->length = 0;
    parcel->readings = 0;
    parcel->first_gap = parcel->last_gap = 0;
    parcel->first_seq = parcel->last_seq = 0;
    size_t limit = fetch_limit(debtor);
    struct walk walk = {.parcel = parcel,
                        .budget = limit > HEAD_MAX ? limit - HEAD_MAX : 1, /* a point a part */
                        .part = 1,
                        .revision = UINT64_C(0xcbf29ce484222325)};
    bool ok = debtor->wanted[parcel->sector] &&
              walk_sector(store, &walk, store->epochs[e].ordinal, parcel->sector);
    parcel->parts = walk.part;
    ok = ok && parcel->length && finish(store, &walk);
    if (ok)
        parcel->parts_ever = most_parts(store, debtor, parcel->sector, parcel->parts);
    parcel->kind = ok ? PARCEL_MANIFEST : PARCEL_EMPTY;
    return ok;
}

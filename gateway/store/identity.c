/* Ids of devices and points: given once per epoch, never reused, kept over every restart.
 * Runs in main() before the store thread starts, inside the transaction of the start, and in the
 * store thread inside that of a reload; owns the id tables that everybody reads afterwards. A
 * device is (sector, name); a point is (device, name, quantity, unit): a change of meaning is a new
 * id, and what the configuration no longer names is retired, not removed. Bodies are Device and
 * Point messages without `retired`, so that a Manifest is made by appending. */
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"
#include "gateway/store/database.h"
#include "gateway/store/identity.h"

enum { BODY_MAX = 2048 };

/* The highest ids so far. */
struct given {
    uint32_t devices, points;
};

/* The highest id that was ever given; new ones count on from it. */
static uint32_t highest_id(struct store *store, enum statement statement, uint32_t ordinal)
{
    sqlite3_stmt *s = database_statement(store, statement);
    sqlite3_bind_int64(s, 1, ordinal);
    uint32_t id = sqlite3_step(s) == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return id;
}

/* Reads the found row: its id, and whether it already says just this. */
static bool found(sqlite3_stmt *s, int64_t *id)
{
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    if (ok)
        *id = sqlite3_column_int64(s, 0);
    return ok;
}

static bool unchanged(sqlite3_stmt *s, const uint8_t *body, size_t length)
{
    return sqlite3_column_int64(s, 1) == 0 && (size_t)sqlite3_column_bytes(s, 2) == length &&
           memcmp(sqlite3_column_blob(s, 2), body, length) == 0;
}

static size_t pack_device(const struct settings *settings, const struct settings_device *device,
                          uint32_t id, uint8_t *body)
{
    Lifeline__V1__Device message = LIFELINE__V1__DEVICE__INIT;
    Lifeline__V1__Position position = LIFELINE__V1__POSITION__INIT;
    message.id = id;
    message.name = device->name;
    message.title = device->title;
    message.profile = device->profile->name;
    message.asset = device->asset;
    message.grid = device->grid;
    message.line = settings->lines[device->line].name;
    message.modbus_unit = device->unit;
    if (device->position.present) {
        position.longitude = device->position.longitude;
        position.latitude = device->position.latitude;
        position.crs = (Lifeline__V1__Crs)settings->gateway.crs;
        message.position = &position;
    }
    return message_pack(&message.base, body, BODY_MAX);
}

static size_t pack_point(const struct profile_point *point, const struct settings_point *settings,
                         uint32_t device, uint32_t id, uint8_t *body)
{
    Lifeline__V1__Point message = LIFELINE__V1__POINT__INIT;
    message.id = id;
    message.device = device;
    message.name = point->name;
    message.quantity = point->quantity;
    message.title_zh = point->title_zh;
    message.title_en = point->title_en;
    message.unit = point->unit;
    message.min = settings->min;
    /* a consumer undoes the wrap of a counter with this */
    message.max = point->wrap > 0 ? point->wrap : settings->max;
    return message_pack(&message.base, body, BODY_MAX);
}

static bool put_device(struct store *store, uint32_t ordinal, size_t d)
{
    const struct settings_device *device = &store->settings->devices[d];
    uint32_t id = store->ids.device[d];
    uint8_t body[BODY_MAX];
    size_t length = pack_device(store->settings, device, id, body);
    sqlite3_stmt *s = database_statement(store, STATEMENT_DEVICE_PUT);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, id);
    sqlite3_bind_int64(s, 3, device->sector);
    sqlite3_bind_text(s, 4, device->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 5, body, (int)length, SQLITE_STATIC);
    return length && database_run(store, STATEMENT_DEVICE_PUT);
}

/* What a value of the point means: another meaning is another id. */
struct meaning {
    char text[256];
};

static struct meaning meaning_of(const struct profile_point *point)
{
    struct meaning meaning;
    snprintf(meaning.text, sizeof meaning.text, "%s/%s", point->quantity, point->unit);
    return meaning;
}

static bool put_point(struct store *store, uint32_t ordinal, size_t d, size_t p)
{
    const struct settings_device *owner = &store->settings->devices[d];
    const struct profile_point *point = &owner->profile->points[p];
    const struct meaning meaning = meaning_of(point);
    uint32_t device = store->ids.device[d], id = store->ids.point[d][p];
    uint8_t body[BODY_MAX];
    size_t length = pack_point(point, &owner->points[p], device, id, body);
    sqlite3_stmt *s = database_statement(store, STATEMENT_POINT_PUT);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, device);
    sqlite3_bind_int64(s, 3, id);
    sqlite3_bind_text(s, 4, point->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, meaning.text, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 6, body, (int)length, SQLITE_STATIC);
    return length && database_run(store, STATEMENT_POINT_PUT);
}

static bool register_device(struct store *store, struct given *ids, uint32_t ordinal, size_t d)
{
    const struct settings_device *device = &store->settings->devices[d];
    uint8_t body[BODY_MAX];
    int64_t id = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_DEVICE_FIND);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, device->sector);
    sqlite3_bind_text(s, 3, device->name, -1, SQLITE_STATIC);
    bool known = found(s, &id);
    if (!known)
        id = ++ids->devices;
    size_t length = pack_device(store->settings, device, (uint32_t)id, body);
    bool same = known && unchanged(s, body, length);
    sqlite3_reset(s);
    store->ids.device[d] = (uint32_t)id;
    if (same)
        return true;
    store->changed[device->sector] = true;
    return put_device(store, ordinal, d);
}

static bool register_point(struct store *store, struct given *ids, uint32_t ordinal, size_t d,
                           size_t p)
{
    const struct settings_device *owner = &store->settings->devices[d];
    const struct profile_point *point = &owner->profile->points[p];
    uint32_t device = store->ids.device[d];
    uint8_t body[BODY_MAX];
    const struct meaning meaning = meaning_of(point);
    int64_t id = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_POINT_FIND);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, device);
    sqlite3_bind_text(s, 3, point->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, meaning.text, -1, SQLITE_STATIC);
    bool known = found(s, &id);
    if (!known)
        id = ++ids->points;
    size_t length = pack_point(point, &owner->points[p], device, (uint32_t)id, body);
    bool same = known && unchanged(s, body, length);
    sqlite3_reset(s);
    store->ids.point[d][p] = (uint32_t)id;
    if (same)
        return true;
    store->changed[owner->sector] = true;
    return put_point(store, ordinal, d, p);
}

static bool contains(const uint32_t *ids, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Points of a device that the configuration does not name any more. */
static bool retire_points(struct store *store, uint32_t ordinal, size_t d)
{
    const struct settings_device *owner = &store->settings->devices[d];
    uint32_t device = store->ids.device[d];
    sqlite3_stmt *s = database_statement(store, STATEMENT_POINT_LIST);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, device);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        if (sqlite3_column_int64(s, 1) ||
            contains(store->ids.point[d], owner->profile->point_count, id))
            continue;
        store->changed[owner->sector] = true;
        sqlite3_stmt *r = database_statement(store, STATEMENT_POINT_RETIRE);
        sqlite3_bind_int64(r, 1, ordinal);
        sqlite3_bind_int64(r, 2, device);
        sqlite3_bind_int64(r, 3, id);
        ok = database_run(store, STATEMENT_POINT_RETIRE);
    }
    return sqlite3_reset(s) == SQLITE_OK && ok;
}

/* Devices of a sector that the configuration does not name any more, with all their points. */
static bool retire_devices(struct store *store, uint32_t ordinal, int sector)
{
    static const enum statement retire[2] = {STATEMENT_DEVICE_RETIRE, STATEMENT_POINTS_RETIRE};
    sqlite3_stmt *s = database_statement(store, STATEMENT_DEVICE_LIST);
    sqlite3_bind_int64(s, 1, ordinal);
    sqlite3_bind_int64(s, 2, sector);
    bool ok = true;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        if (sqlite3_column_int64(s, 1) ||
            contains(store->ids.device, store->settings->device_count, id))
            continue;
        store->changed[sector] = true;
        for (int i = 0; ok && i < 2; i++) {
            sqlite3_stmt *r = database_statement(store, retire[i]);
            sqlite3_bind_int64(r, 1, ordinal);
            sqlite3_bind_int64(r, 2, id);
            ok = database_run(store, retire[i]);
        }
    }
    return sqlite3_reset(s) == SQLITE_OK && ok;
}

bool identity_register(struct store *store)
{
    const struct settings *settings = store->settings;
    uint32_t ordinal = store->epochs[store->epoch_count - 1].ordinal;
    struct given ids = {highest_id(store, STATEMENT_DEVICE_MAX, ordinal),
                        highest_id(store, STATEMENT_POINT_MAX, ordinal)};
    memset(store->changed, 0, sizeof store->changed);
    store->ids.device = calloc(settings->device_count + 1, sizeof *store->ids.device);
    store->ids.point = calloc(settings->device_count + 1, sizeof *store->ids.point);
    if (!store->ids.device || !store->ids.point)
        return false;
    for (size_t d = 0; d < settings->device_count; d++) {
        const struct profile *profile = settings->devices[d].profile;
        store->ids.point[d] = calloc(profile->point_count, sizeof **store->ids.point);
        if (!store->ids.point[d] || !register_device(store, &ids, ordinal, d))
            return false;
        for (size_t p = 0; p < profile->point_count; p++) {
            if (!register_point(store, &ids, ordinal, d, p))
                return false;
        }
        if (!retire_points(store, ordinal, d))
            return false;
    }
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        if (!retire_devices(store, ordinal, sector))
            return false;
    }
    return true;
}

bool identity_repeat(struct store *store)
{
    uint32_t ordinal = store->epochs[store->epoch_count - 1].ordinal;
    bool ok = true;
    for (size_t d = 0; ok && d < store->settings->device_count; d++) {
        ok = put_device(store, ordinal, d);
        for (size_t p = 0; ok && p < store->settings->devices[d].profile->point_count; p++)
            ok = put_point(store, ordinal, d, p);
    }
    return ok;
}

void identity_free(struct store_ids *ids, const struct settings *settings)
{
    for (size_t d = 0; ids->point && d < settings->device_count; d++)
        free(ids->point[d]);
    free(ids->point);
    free(ids->device);
    *ids = (struct store_ids){0};
}

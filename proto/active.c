/* ActiveAlarms by hand: the head, then one length-delimited entry an alarm, each of them the bytes
 * of an AlarmEvent without the fields that an entry does not carry.
 *
 * Pure; runs in the uplinks' threads. Field numbers are those of lifeline.proto (tests compare with
 * what an independent decoder reads). Never unpacks a message, never allocates. */
#include "proto/active.h"

#include <string.h>

#include "proto/varint.h"

/* Field numbers of ActiveAlarms. */
enum { GATEWAY = 1, SECTOR = 2, AT_MS = 3, ALARMS = 4, OMITTED = 5 };

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

/* Of AlarmEvent: id, step, sector to point, value, first_ms, at_ms (wire.md). */
static bool is_carried(uint64_t field)
{
    return field == 1 || field == 2 || (field >= 5 && field <= 13) || field == 20 || field == 25 ||
           field == 27;
}

/* Steps over one field; false when it is cut off or of no known type. */
static bool skip(const uint8_t **at, const uint8_t *end, uint64_t key)
{
    uint64_t size = 0;
    switch (key & 7) {
    case WIRE_VARINT:
        return varint_get(at, end, &size);
    case WIRE_64:
        size = 8;
        break;
    case WIRE_32:
        size = 4;
        break;
    case WIRE_LENGTH:
        if (!varint_get(at, end, &size))
            return false;
        break;
    default:
        return false;
    }
    if (size > (uint64_t)(end - *at))
        return false;
    *at += size;
    return true;
}

/* Copies what an entry carries to `out`, or only counts it. False: this is no message. */
static bool filter(const uint8_t *event, size_t length, uint8_t *out, size_t *kept)
{
    const uint8_t *at = event, *end = event + length;
    *kept = 0;
    while (at < end) {
        const uint8_t *field = at;
        uint64_t key;
        if (!varint_get(&at, end, &key) || !skip(&at, end, key))
            return false;
        size_t size = (size_t)(at - field);
        if (!is_carried(key >> 3))
            continue;
        if (out)
            memcpy(out + *kept, field, size);
        *kept += size;
    }
    return true;
}

static void put_number(struct active *active, unsigned field, uint64_t number)
{
    uint8_t *at = active->bytes + active->length;
    at = varint_put(at, field << 3 | WIRE_VARINT);
    active->length = (size_t)(varint_put(at, number) - active->bytes);
}

bool active_begin(struct active *active, uint8_t *bytes, size_t capacity, const char *gateway,
                  enum sector sector, int64_t at_ms)
{
    size_t name = strlen(gateway);
    *active = (struct active){.bytes = bytes, .capacity = capacity};
    if (capacity < name + 6 * VARINT_MAX) /* the number of omitted ones, too */
        return false;
    uint8_t *at = varint_put(bytes, GATEWAY << 3 | WIRE_LENGTH);
    at = varint_put(at, name);
    memcpy(at, gateway, name);
    active->length = (size_t)(at - bytes) + name;
    put_number(active, SECTOR, (uint64_t)sector);
    put_number(active, AT_MS, (uint64_t)at_ms);
    return true;
}

void active_add(struct active *active, const uint8_t *event, size_t length)
{
    size_t kept, room = active->capacity - active->length;
    if (active->entries == ACTIVE_MAX || !filter(event, length, NULL, &kept) ||
        kept + 4 * VARINT_MAX > room) {
        active->omitted++;
        return;
    }
    uint8_t *at = varint_put(active->bytes + active->length, ALARMS << 3 | WIRE_LENGTH);
    at = varint_put(at, kept);
    (void)filter(event, length, at, &kept);
    active->length = (size_t)(at - active->bytes) + kept;
    active->entries++;
}

size_t active_end(struct active *active)
{
    if (active->omitted)
        put_number(active, OMITTED, active->omitted);
    return active->length;
}

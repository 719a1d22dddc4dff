/* What no single field of gateway.yaml can know: how lines, devices and uplinks fit together.
 *
 * Runs in the thread that loads a configuration, after every field has been read; changes nothing
 * but the diagnostics. Parts of the settings may be missing here, because the file may be wrong. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/scalar.h"
#include "config/settings_parts.h"

static bool is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Names of hosts are the same in any case. */
static bool is_same_host(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcasecmp(a, b) == 0;
}

static bool is_tcp(const struct settings_line *line)
{
    return line->transport == TRANSPORT_TCP || line->transport == TRANSPORT_RTU_OVER_TCP;
}

static void warn(const struct loader *loader, const struct node *node, const char *message)
{
    diagnostics_add(loader->reader.out, SEVERITY_WARNING, node->place, "%s", message);
}

/* A key that makes no sense beside another one. */
static void refuse_key(const struct loader *loader, const struct node *map, const char *key,
                       const char *reason)
{
    const struct node *member = tree_member(map, key);
    if (member != NULL)
        diagnostics_add(loader->reader.out, SEVERITY_ERROR, member->key_place, "%s", reason);
}

static void check_gateway(const struct loader *loader)
{
    const struct node *gateway = tree_member(loader->root, "gateway");
    const struct node *position = tree_member(gateway, "position");
    if (gateway == NULL || tree_member(gateway, "crs") != NULL)
        return;
    for (size_t i = 0; i < loader->settings->device_count && position == NULL; i++)
        position = tree_member(loader->device_nodes[i], "position");
    if (position != NULL)
        field_error(&loader->reader, gateway,
                    "positions need the key \"crs\": CGCS2000 or WGS84 (never GCJ-02)");
}

static void check_store(const struct loader *loader)
{
    const struct settings_store *store = &loader->settings->store;
    const struct node *node = tree_member(loader->root, "store");
    if (node != NULL && store->segment_ms != 0 && store->segment_ms < store->sync_ms)
        field_error(&loader->reader, settings_at(node, "segment"),
                    "segment must not be shorter than sync (%ums)", store->sync_ms);
}

/* What only a connection has, beside a serial port. */
static void refuse_network_keys(const struct loader *loader, const struct node *node)
{
    refuse_key(loader, node, "host", "a line of transport rtu has no host; it has a device");
    refuse_key(loader, node, "port", "a line of transport rtu has no port; it has a device");
    refuse_key(loader, node, "close_between_polls",
               "a line of transport rtu has no connection to close; its serial port stays open");
}

static void check_line_keys(const struct loader *loader, const struct node *node,
                            const struct settings_line *line)
{
    const char *needed = line->transport == TRANSPORT_RTU ? "device" : "host";
    if (line->transport == TRANSPORT_UNKNOWN)
        return;
    if (tree_member(node, needed) == NULL)
        field_error(&loader->reader, node, "a line of transport %s needs the key \"%s\"",
                    tree_member(node, "transport")->text, needed);
    if (line->transport == TRANSPORT_RTU) {
        refuse_network_keys(loader, node);
        return;
    }
    refuse_key(loader, node, "device", "only a line of transport rtu has a device");
    if (line->transport == TRANSPORT_TCP)
        refuse_key(loader, node, "serial",
                   "a line of transport tcp has no serial setting; is rtu-over-tcp meant?");
    else if (tree_member(node, "port") == NULL)
        field_error(&loader->reader, node,
                    "a line of transport rtu-over-tcp needs the key \"port\"");
}

/* True when the two cannot live together; when they only should not, it is said once. */
static bool lines_clash(const struct loader *loader, size_t earlier, size_t later, bool *warned)
{
    const struct settings_line *a = &loader->settings->lines[earlier];
    const struct settings_line *b = &loader->settings->lines[later];
    const struct node *node = loader->line_nodes[later];
    if (is_same(a->name, b->name)) {
        field_error(&loader->reader, tree_member(node, "name"),
                    "line \"%s\" is there twice; the first is in line %u", b->name, a->place.line);
        return true;
    }
    bool serial = a->transport == TRANSPORT_RTU && b->transport == TRANSPORT_RTU;
    bool tcp = is_tcp(a) && is_tcp(b);
    if (serial && is_same(a->device, b->device)) {
        field_error(&loader->reader, tree_member(node, "device"),
                    "serial port %s already belongs to line \"%s\" (line %u)", b->device,
                    a->name == NULL ? "?" : a->name, a->place.line);
        return true;
    }
    if (!tcp || !is_same_host(a->host, b->host) || a->port != b->port)
        return false;
    bool bus = a->transport == TRANSPORT_RTU_OVER_TCP && b->transport == TRANSPORT_RTU_OVER_TCP;
    if (*warned && !bus)
        return false;
    *warned = true;
    diagnostics_add(loader->reader.out, bus ? SEVERITY_ERROR : SEVERITY_WARNING,
                    tree_member(node, "host")->place,
                    "%s port %u already belongs to line \"%s\" (line %u); %s put the devices on "
                    "one line",
                    b->host, b->port, a->name == NULL ? "?" : a->name, a->place.line,
                    bus ? "it is one bus:" : "many gateways take only one connection,");
    return bus;
}

static void check_lines(const struct loader *loader)
{
    for (size_t i = 0; i < loader->settings->line_count; i++) {
        check_line_keys(loader, loader->line_nodes[i], &loader->settings->lines[i]);
        bool warned = false;
        for (size_t earlier = 0; earlier < i && !lines_clash(loader, earlier, i, &warned);)
            earlier++;
    }
}

/* False when the unit is missing or could not be read. */
static bool unit_is_known(const struct node *node, const struct settings_device *device)
{
    const struct node *unit = tree_member(node, "unit");
    int64_t value;
    return unit != NULL && unit->kind == NODE_TEXT && scalar_integer(unit->text, &value) &&
           value == device->unit;
}

static void check_unit(const struct loader *loader, const struct node *node,
                       const struct settings_device *device, const struct settings_line *line)
{
    if (!unit_is_known(node, device))
        return;
    bool tcp = line->transport == TRANSPORT_TCP;
    if (tcp && device->unit > 247 && device->unit != 255)
        field_error(&loader->reader, tree_member(node, "unit"),
                    "unit %u is reserved; on TCP a unit is 0 to 247 or 255", device->unit);
    if (!tcp && (device->unit == 0 || device->unit > 247))
        field_error(&loader->reader, tree_member(node, "unit"),
                    "a unit on a serial line is 1 to 247, not %u%s", device->unit,
                    device->unit == 0 ? " (0 is the broadcast)" : "");
}

static void check_serial(const struct loader *loader, const struct node *node,
                         const struct settings_device *device, const struct settings_line *line)
{
    const struct profile *profile = device->profile;
    if (line->transport == TRANSPORT_TCP || profile == NULL || !profile->has_serial)
        return;
    const struct serial *a = &profile->serial, *b = &line->serial;
    if (b->baud == 0 || scalar_serial_is_same(a, b))
        return;
    if (line->transport == TRANSPORT_RTU_OVER_TCP &&
        tree_member(loader->line_nodes[device->line], "serial") == NULL)
        return; /* the far side's setting is not known */
    diagnostics_add(loader->reader.out, SEVERITY_WARNING, tree_member(node, "profile")->place,
                    "%s leaves the factory with %u %u%c%u, line \"%s\" runs at %u %u%c%u",
                    profile->name, a->baud, a->data_bits, a->parity, a->stop_bits,
                    line->name == NULL ? "?" : line->name, b->baud, b->data_bits, b->parity,
                    b->stop_bits);
}

/* A sensor may serve another department than its profile says, if that one knows its quantities. */
static void check_sector(const struct loader *loader, const struct node *node,
                         const struct settings_device *device, quantity_lookup quantity)
{
    const struct profile *profile = device->profile;
    if (quantity == NULL || profile == NULL || device->sector == profile->sector)
        return;
    for (size_t i = 0; i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        const struct quantity *known = quantity(device->sector, point->quantity);
        if (known == NULL || strcmp(known->unit, point->unit) != 0) {
            field_error(&loader->reader, tree_member(node, "sector"),
                        "sector %s measures no %s in %s, which point \"%s\" of %s is",
                        names_sector(device->sector), point->quantity, point->unit, point->name,
                        profile->name);
            return;
        }
    }
}

static void check_mounts(const struct loader *loader, const struct node *node,
                         const struct settings_device *device)
{
    const struct profile *profile = device->profile;
    const struct node *points = tree_member(node, "points");
    for (size_t i = 0; profile != NULL && i < profile->point_count; i++) {
        const struct profile_point *point = &profile->points[i];
        const struct node *height = tree_member(tree_member(points, point->name), "mount_height");
        if (point->below_mount && height == NULL)
            field_error(&loader->reader, settings_at(node, "points"),
                        "%s measures down from where it hangs; give its height in %s: points: { "
                        "%s: { mount_height: ... } }",
                        profile->name, point->unit, point->name);
        if (!point->below_mount && height != NULL)
            diagnostics_add(loader->reader.out, SEVERITY_ERROR, height->key_place,
                            "point \"%s\" of %s does not measure from a mount", point->name,
                            profile->name);
    }
}

static void check_base(const struct loader *loader, const struct node *node,
                       const struct settings_device *device)
{
    const struct profile *profile = device->profile;
    for (size_t i = 0; profile != NULL && i < profile->point_count; i++) {
        uint32_t first, end;
        profile_point_span(&profile->points[i], &first, &end);
        if (device->base + end <= 0x10000)
            continue;
        field_error(&loader->reader, settings_at(node, "base"),
                    "base %u moves point \"%s\" beyond address 65535", device->base,
                    profile->points[i].name);
        return;
    }
}

static void check_device(const struct loader *loader, const struct node *node,
                         const struct settings_device *device, quantity_lookup quantity)
{
    const struct settings *settings = loader->settings;
    if (device->has_every_alarm && device->every_alarm_ms > device->every_ms)
        field_error(&loader->reader, tree_member(node, "every_alarm"),
                    "every_alarm is longer than every; an alarm makes readings denser");
    check_sector(loader, node, device, quantity);
    check_mounts(loader, node, device);
    check_base(loader, node, device);
    if (device->line >= settings->line_count)
        return;
    const struct settings_line *line = &settings->lines[device->line];
    if (line->transport == TRANSPORT_UNKNOWN)
        return;
    check_unit(loader, node, device, line);
    check_serial(loader, node, device, line);
}

/* Two points that some register belongs to both; in *at its address on the wire. */
static bool points_overlap(const struct settings_device *a, const struct profile_point *p,
                           const struct settings_device *b, const struct profile_point *q,
                           uint32_t *at)
{
    uint32_t first = (uint32_t)a->base + p->address, second = (uint32_t)b->base + q->address;
    *at = first > second ? first : second;
    return p->function == q->function && first < second + profile_type_registers(q->type) &&
           second < first + profile_type_registers(p->type);
}

static void check_overlap(const struct loader *loader, const struct settings_device *a,
                          const struct settings_device *b, const struct node *node)
{
    for (size_t i = 0; i < a->profile->point_count; i++) {
        for (size_t j = 0; j < b->profile->point_count; j++) {
            uint32_t at = 0;
            const struct profile_point *p = &a->profile->points[i], *q = &b->profile->points[j];
            if (!points_overlap(a, p, b, q, &at))
                continue;
            field_error(&loader->reader, settings_at(node, "unit"),
                        "device \"%s\" (line %u) has the same line and unit %u, and register %u is "
                        "its %s and this one's %s; give another unit or base",
                        a->name == NULL ? "?" : a->name, a->place.line, a->unit, at, p->name,
                        q->name);
            return;
        }
    }
}

static void check_device_pair(const struct loader *loader, size_t earlier, size_t later)
{
    const struct settings_device *a = &loader->settings->devices[earlier];
    const struct settings_device *b = &loader->settings->devices[later];
    const struct node *node = loader->device_nodes[later];
    if (is_same(a->name, b->name))
        field_error(&loader->reader, tree_member(node, "name"),
                    "device \"%s\" is there twice; the first is in line %u", b->name,
                    a->place.line);
    if (a->asset != NULL && a->asset[0] != '\0' && is_same(a->asset, b->asset))
        warn(loader, tree_member(node, "asset"), "another device has the same asset code");
    bool same_unit = a->line == b->line && a->unit == b->unit &&
                     a->line < loader->settings->line_count &&
                     unit_is_known(loader->device_nodes[earlier], a) && unit_is_known(node, b);
    if (same_unit && a->profile != NULL && b->profile != NULL)
        check_overlap(loader, a, b, node);
}

static void check_devices(const struct loader *loader, quantity_lookup quantity)
{
    const struct settings *settings = loader->settings;
    for (size_t i = 0; i < settings->device_count; i++) {
        check_device(loader, loader->device_nodes[i], &settings->devices[i], quantity);
        for (size_t earlier = 0; earlier < i; earlier++)
            check_device_pair(loader, earlier, i);
    }
    if (settings->device_count == 0 && tree_member(loader->root, "devices") == NULL)
        warn(loader, loader->root, "there are no devices: nothing is read");
}

static void check_tls(const struct loader *loader, const struct node *node,
                      const struct settings_uplink *uplink)
{
    const struct node *urls = tree_member(node, "urls");
    const struct node *tls = tree_member(node, "tls");
    bool any = false;
    for (size_t i = 0; i < uplink->url_count; i++)
        any = any || uplink->urls[i].tls;
    if (any && tree_member(tls, "ca") == NULL)
        field_error(&loader->reader, tls != NULL ? tls : urls,
                    "mqtts needs tls: { ca: FILE }, the authority that signed the broker's "
                    "certificate");
    if (!any && tls != NULL && uplink->url_count > 0)
        diagnostics_add(loader->reader.out, SEVERITY_WARNING, tls->key_place,
                        "tls is given, but no url is mqtts: nothing is encrypted");
    if ((tree_member(tls, "cert") == NULL) != (tree_member(tls, "key") == NULL))
        field_error(&loader->reader, tls, "cert and key are given together or not at all");
}

static void check_uplink(const struct loader *loader, const struct node *node,
                         const struct settings_uplink *uplink)
{
    check_tls(loader, node, uplink);
    if (tree_member(node, "password_file") != NULL && tree_member(node, "username") == NULL)
        diagnostics_add(loader->reader.out, SEVERITY_ERROR,
                        tree_member(node, "password_file")->key_place,
                        "password_file needs the key \"username\"");
}

/* The first broker of b that is one of a's too; NULL when they have none in common, as far as their
 * urls tell. */
static const struct settings_url *shared_broker(const struct settings_uplink *a,
                                                const struct settings_uplink *b)
{
    for (size_t i = 0; i < a->url_count * b->url_count; i++) {
        const struct settings_url *one = &a->urls[i / b->url_count];
        const struct settings_url *other = &b->urls[i % b->url_count];
        if (one->port == other->port && is_same_host(one->host, other->host))
            return other;
    }
    return NULL;
}

/* Two uplinks of one broker are not of the same topics. */
static void check_uplink_pair(const struct loader *loader, const struct settings_uplink *a,
                              const struct settings_uplink *b, const struct node *node)
{
    const struct settings_url *shared = shared_broker(a, b);
    if (is_same(a->name, b->name))
        field_error(&loader->reader, tree_member(node, "name"),
                    "uplink \"%s\" is there twice; the first is in line %u", a->name,
                    a->place.line);
    if (shared != NULL && is_same(a->root, b->root))
        field_error(&loader->reader, settings_at(node, "root"),
                    "uplink \"%s\" (line %u) publishes under root %s on %s:%u already; give this "
                    "one another root",
                    a->name == NULL ? "?" : a->name, a->place.line, a->root, shared->host,
                    shared->port);
}

/* One broker has many names and ports: by the urls alone nobody can say which uplinks meet there,
 * where two clients of one id would throw each other out. So each has an id of its own. */
static void name_client(const struct loader *loader, struct settings_uplink *uplink, bool first)
{
    char *id = loader->settings->gateway.id;
    uplink->client_id = id;
    if (first || id == NULL || uplink->name == NULL)
        return;
    size_t size = strlen(id) + strlen(uplink->name) + 2;
    uplink->client_id = arena_alloc(loader->reader.arena, size);
    snprintf(uplink->client_id, size, "%s-%s", id, uplink->name);
}

static void check_uplinks(const struct loader *loader)
{
    const struct settings *settings = loader->settings;
    for (size_t i = 0; i < settings->uplink_count; i++) {
        const struct node *node = loader->uplink_nodes[i];
        check_uplink(loader, node, &settings->uplinks[i]);
        name_client(loader, &settings->uplinks[i], i == 0);
        for (size_t earlier = 0; earlier < i; earlier++)
            check_uplink_pair(loader, &settings->uplinks[earlier], &settings->uplinks[i], node);
    }
}

void settings_check(const struct loader *loader, quantity_lookup quantity)
{
    check_gateway(loader);
    check_store(loader);
    check_lines(loader);
    check_devices(loader, quantity);
    check_uplinks(loader);
    const struct node *http = tree_member(tree_member(loader->root, "api"), "http");
    if (http != NULL)
        field_error(&loader->reader, http,
                    "http is not supported yet; use the unix socket (\"socket\")");
}

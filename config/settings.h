/* The configuration as typed structs: what /etc/lifeline/gateway.yaml says, checked and complete.
 *
 * Immutable once loaded; a reload builds a new whole. Every reference is resolved, every default
 * filled in, every string owned by the settings. */
#ifndef LIFELINE_SETTINGS_H
#define LIFELINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/catchment.h"
#include "config/diagnostics.h"
#include "config/profile.h"
#include "config/rule.h"
#include "proto/names.h"

enum crs { CRS_UNSPECIFIED = 0, CRS_CGCS2000 = 1, CRS_WGS84 = 2 };

struct position {
    bool present;
    double longitude, latitude; /* degrees */
};

struct settings_gateway {
    char *id;     /* [a-z0-9-]{1,32} */
    char *region; /* GB/T 2260, six digits */
    char *name;   /* "" when not given */
    struct position position;
    enum crs crs; /* of every position in the file */
    bool trusted_rtc;
};

struct settings_store {
    char *path;
    uint32_t sync_ms, segment_ms, heartbeat_ms;
    uint64_t retain_ms;
    uint64_t max_size; /* bytes */
};

enum transport_kind { TRANSPORT_RTU, TRANSPORT_TCP, TRANSPORT_RTU_OVER_TCP };

/* As it stands in the file: "rtu", "tcp", "rtu-over-tcp". */
const char *settings_transport_name(enum transport_kind kind);

struct settings_line {
    struct place place;
    char *name;
    enum transport_kind transport;
    char *device;         /* rtu */
    struct serial serial; /* rtu; for rtu-over-tcp the far side's, 9600 8N1 when not given */
    char *host;           /* tcp, rtu-over-tcp */
    uint16_t port;
    uint32_t timeout_ms; /* 20 .. 60000 */
    uint8_t retries;
    bool close_between_polls; /* tcp, rtu-over-tcp: others want the server's only connection too */
};

/* One point of a device: the profile's point of the same index with what the device overrides. */
struct settings_point {
    struct place place;
    bool has_deadband;
    double deadband;     /* in the point's unit */
    uint32_t every_ms;   /* 0 = without a pause; the device's when not given */
    double mount_height; /* in the point's unit; for a below_mount point it must be given */
    /* outside = OUT_OF_RANGE: the profile's own range, or what the device's sector says */
    bool has_range;
    double min, max;
    struct rules rules; /* in force on it */
};

struct settings_device {
    struct place place;
    char *name;
    char *title;   /* "" */
    uint32_t line; /* index into lines */
    uint8_t unit;
    uint16_t base;
    const struct profile *profile;
    enum sector sector;
    char *asset; /* 16 digits or "" */
    char *grid;  /* 15 digits or "" */
    struct position position;
    uint32_t every_ms; /* 0 = without a pause, as fast as the line allows */
    bool has_every_alarm;
    uint32_t every_alarm_ms;       /* likewise, when has_every_alarm */
    uint32_t timeout_ms;           /* the line's or the profile's, whichever is longer */
    uint8_t retries;               /* the profile's, or else the line's */
    struct settings_point *points; /* profile->point_count of them */
    struct rules rules;            /* in force on the device as a whole */
};

enum confirm { CONFIRM_BROKER, CONFIRM_SUBSCRIBER, CONFIRM_PLATFORM };
enum compress { COMPRESS_NONE, COMPRESS_ZSTD };

struct settings_url {
    bool tls; /* mqtts:// */
    char *host;
    uint16_t port; /* 1883 or 8883 when not given */
};

struct settings_uplink {
    struct place place;
    char *name;
    char *client_id; /* the gateway's id; of every uplink but the first ID-NAME */
    struct settings_url *urls;
    size_t url_count;
    char *root;                     /* lifeline/v1 */
    char *username, *password_file; /* NULL when not given */
    char *ca, *cert, *key;          /* NULL when not given */
    uint32_t keepalive_ms;
    uint32_t spread_ms; /* over how long the gateways of a broker come back to it */
    bool sectors[SECTOR_COUNT];
    enum confirm confirm;
    enum compress compress;
    uint32_t max_payload; /* bytes */
};

struct settings_api {
    char *socket;
    char *http; /* host:port or NULL */
};

struct arena;
struct pack;

struct settings {
    struct arena *arena; /* holds the settings and all they point to but the profiles */
    struct settings_gateway gateway;
    struct settings_store store;
    struct settings_line *lines;
    size_t line_count;
    struct settings_device *devices;
    size_t device_count;
    struct settings_uplink *uplinks;
    size_t uplink_count;
    struct catchment *catchments;
    size_t catchment_count;
    struct settings_api api;
    struct pack **packs; /* alarm packs in force, in their order */
    size_t pack_count;
    struct profile **profiles; /* the ones that devices use */
    size_t profile_count;
};

struct settings_sources {
    const char *const *profile_dirs; /* in order; first file found wins */
    size_t profile_dir_count;
    quantity_lookup quantity;
    const char *const *pack_dirs; /* likewise; none: no pack is looked for, not even the default */
    size_t pack_dir_count;
    diagnosis_lookup diagnosis;
};

/* Its index, or device_count when there is none of that name. */
size_t settings_find_device(const struct settings *settings, const char *name);

/* NULL when there is an error; all of them (and the warnings) are in `out`, which must outlive the
 * settings: it owns the file names of the places. */
struct settings *settings_load(const char *path, const struct settings_sources *sources,
                               struct diagnostics *out);

/* The same for text in memory. */
struct settings *settings_parse(const struct source *source, const struct settings_sources *sources,
                                struct diagnostics *out);
void settings_free(struct settings *settings);

#endif

/* Alarm packs: the default rules of a city or a standard, each number with its source. A file
 * config/alarms/NAME.yaml:
 *
 *     pack: gb-default
 *     version: 1
 *     title: { zh: ..., en: ... }
 *     alarms:
 *       - sectors: [waterlogging, tunnel]   # all when not given
 *         quantity: depth                   # of each such point; of devices when not given
 *         rules:
 *           flooded: { above: { 4: 150 }, source: { 4: "GB 50014-2021 ..." } }
 *     omitted:                              # what the pack leaves out, and why
 *       - { sectors: [heat], quantity: t_supply, levels: [4, 3],
 *           why: "needs the site's set point" }
 *
 * A rule of a later pack changes the one of the same name and quantity of an earlier pack as an
 * override does. */
#ifndef LIFELINE_PACK_H
#define LIFELINE_PACK_H

#include "config/rule.h"

struct pack_omitted {
    struct place place;
    bool sectors[SECTOR_COUNT];
    const char *quantity;
    bool levels[LEVEL_COUNT];
    const char *why;
};

struct pack_group;

struct pack {
    struct place place;
    char *name;
    uint16_t version;
    const char *label; /* "gb-default 1" */
    char *title_zh, *title_en;
    struct pack_omitted *omitted;
    size_t omitted_count;
    struct pack_group *groups; /* only while a configuration is loaded */
    size_t group_count;
};

#endif

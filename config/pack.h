/* Alarm packs: the default rules of a city or a standard, each number with its source. A file
 * config/alarms/NAME.yaml:
 *
 *     pack: gb-default
 *     version: 1
 *     title: { zh: ..., en: ... }
 *     alarms:
 *       - sectors: [waterlogging, tunnel]      # all when not given
 *         quantity: depth                      # rules of each such point; of devices when not
 * given rules: flooded: { above: { 4: 150, ... }, ..., source: { 4: "GB 50014-2021 ...", 3: ... } }
 *     omitted:                                 # what the pack leaves out, and why
 *       - { sectors: [heat], quantity: t_supply, levels: [4, 3], why: "needs the site's set point"
 * }
 *
 * A rule of a later pack changes the one of the same name and quantity of an earlier pack as an
 * override does. */
#ifndef LIFELINE_PACK_H
#define LIFELINE_PACK_H

#include "config/rule.h"

#endif

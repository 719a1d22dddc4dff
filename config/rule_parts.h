/* The parts that read rules and put them in force; nobody else's. */
#ifndef LIFELINE_RULE_PARTS_H
#define LIFELINE_RULE_PARTS_H

#include "config/field.h"
#include "config/pack.h"
#include "config/settings_parts.h"

struct rule_reading;

/* A rule as it was written: what it does not give may come from the one it changes. */
struct rule_draft {
    const struct rule_reading *reading; /* while it is read */
    const struct node *node;
    const char *name;
    bool off;
    bool has_kind, has_fault;
    bool dwell_by_level;
    bool level_off[LEVEL_COUNT];
    struct rule rule;
    const struct node *condition_points[RULE_CONDITIONS_MAX];
    const struct node *role_points; /* the map `points`; NULL = not given */
};

/* What is known where it stands. */
struct rule_reading {
    const struct reader *reader;
    bool in_pack;            /* every number needs a source */
    const struct rule *base; /* that it changes; NULL = none that is known */
    diagnosis_lookup diagnosis;
    const bool *sectors; /* it may stand under these */
};

/* False, after reporting why, when it is no rule. */
bool rule_read(const struct rule_reading *reading, const struct node *node, struct rule_draft *out);

/* A new rule: the base (NULL: none) with what the draft gives. pack: that it stands in; NULL: the
 * configuration. */
struct rule *rule_merge(struct arena *arena, const struct rule *base,
                        const struct rule_draft *draft, const char *pack);

/* Whether it is whole and its levels are in order. point and range: of the point that it stands
 * under, NULL for a device or where they are not known. */
bool rule_check(const struct reader *reader, const struct rule *rule,
                const struct settings_point *range, const struct profile_point *point);

/* Whether every level that the draft gives a dwell of its own has a number in the merged rule. */
bool rule_check_dwell(const struct reader *reader, const struct rule *rule,
                      const struct rule_draft *draft);

struct pack_group {
    bool sectors[SECTOR_COUNT];
    const char *quantity; /* NULL: rules of devices */
    struct rule_draft *drafts;
    size_t draft_count;
};

/* Reads the packs that `alarms` names into the settings. */
void pack_read(const struct loader *loader, const struct settings_sources *sources,
               struct arena *scratch);

/* Puts the rules in force that packs and overrides say, for every point and device. */
void rule_apply(const struct loader *loader, const struct settings_sources *sources);

#endif

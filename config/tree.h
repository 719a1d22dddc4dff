/* A YAML file as a plain tree in which every key and every value knows its place.
 *
 * What YAML allows beyond maps, lists and text is refused with a message: aliases, tags, several
 * documents, keys that are no text, a key given twice. All scalars are text: 140502, "140502" and
 * 0x0123 reach the field tables as they were written. */
#ifndef LIFELINE_TREE_H
#define LIFELINE_TREE_H

#include "config/arena.h"
#include "config/diagnostics.h"

enum node_kind { NODE_EMPTY, NODE_TEXT, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    struct place place;     /* of the value; of the key when it has no value */
    const char *key;        /* of a map's member, else NULL */
    struct place key_place; /* likewise */
    const char *text;       /* NODE_TEXT */
    struct node *first;     /* NODE_MAP, NODE_LIST */
    struct node *next;
    size_t count; /* members */
};

/* NULL when the text is no YAML; the reason is in `out`. A tree with other errors in `out` is
 * returned all the same, so that the rest of the file can be judged too. */
const struct node *tree_parse(const struct source *source, struct arena *arena,
                              struct diagnostics *out);

/* The member of a map, or NULL. */
const struct node *tree_member(const struct node *map, const char *key);

/* "a map", "a list" ...: what somebody wrote, for messages. */
const char *tree_kind_name(enum node_kind kind);

#endif

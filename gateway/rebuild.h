/* The new whole that a reload puts in the place of the old one. Main thread. */
#ifndef LIFELINE_REBUILD_H
#define LIFELINE_REBUILD_H

#include "gateway/house.h"

/* A thread that has been told to end. */
struct leaving {
    struct leaving *next;
    struct line *line;
    struct uplink *uplink;
    struct uplink *successor; /* begins when the uplink has let go of the store */
};

/* Lines and uplinks that say what they said before are those of the house. */
struct rebuild {
    struct setup *setup;
    struct line **lines;
    struct uplink **uplinks;
    size_t *places; /* [uplink] in the store */
    struct latest *latest;
    struct view *view;
    uint32_t *from;        /* [block] of the old plan */
    struct leaving *spare; /* one for each line and uplink of the house: none can be missing */
};

/* Loads the configuration. False with the reason, and what is wrong in the file, in the log's
 * words, in why. */
bool rebuild_load(struct rebuild *rebuild, const struct house *house, char *why, size_t why_size);

/* Builds the lines and uplinks that are new; those of `leaving` keep their numbers and places.
 * False without memory. */
bool rebuild_make(struct rebuild *rebuild, struct house *house, const struct leaving *leaving);

/* When the store has registered the new settings: the rest. False without memory; it can be tried
 * again. */
bool rebuild_finish(struct rebuild *rebuild, const struct house *house);

/* The line of the house is none of the new whole. */
bool rebuild_ends_line(const struct rebuild *rebuild, const struct line *line);

/* Frees what is not in use in the house. */
void rebuild_free(struct rebuild *rebuild, const struct house *house);

bool rebuild_has_line(struct line *const *lines, size_t count, const struct line *line);
bool rebuild_has_uplink(struct uplink *const *uplinks, size_t count, const struct uplink *uplink);

#endif

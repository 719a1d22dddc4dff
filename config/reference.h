/* What the files may hold, as people are told: every key of the field tables by its path.
 *
 *     uplinks.tls.ca        lists and maps by name have no level of their own
 *     profile.points.type   of a sensor profile; pack.alarms.rules: of a pack of alarm rules */
#ifndef LIFELINE_REFERENCE_H
#define LIFELINE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/field.h"

enum { REFERENCE_PATH_MAX = 96, REFERENCE_TEXT_MAX = 400 };

struct reference_file {
    const char *prefix; /* of its paths; "" = none */
    const struct section *section;
};

/* gateway.yaml, a profile, a pack; ends with one that has no section. */
extern const struct reference_file reference_files[];

struct reference_key {
    char path[REFERENCE_PATH_MAX];
    const struct field *field;
    bool again; /* below keys that stood under another path before */
    long like;  /* the key of that path, where it begins; -1 = nowhere */
};

struct reference {
    struct reference_key *keys;
    size_t count;
};

/* All keys of such files, in their order; count 0 when there is no memory. */
struct reference reference_new(const struct reference_file *files);
void reference_free(struct reference *reference);

/* Whether a key is the one of that path, or below it. */
bool reference_is_under(const struct reference_key *key, const char *path);

/* The path that was probably meant; NULL when none is near. */
const char *reference_nearest(const struct reference *reference, const char *path);

/* The nth of the words that may stand there; NULL when there are no more. */
const char *reference_choice(const struct field *field, size_t n);

/* "duration; 100ms to 60s; default 1s", in one of the languages. */
void reference_facts(const struct field *field, bool chinese, char out[REFERENCE_TEXT_MAX]);

#endif

/* The parts that profile.c puts together; nobody else's. */
#ifndef LIFELINE_PROFILE_PARTS_H
#define LIFELINE_PROFILE_PARTS_H

#include "config/field.h"
#include "config/profile.h"

/* The sections of the file: of the items of its lists, and of the registers that say how to read
 * another. */
extern const struct section PROFILE, PROFILE_POINT, PROFILE_MARK, PROFILE_VECTOR, PROFILE_UNIT_FROM,
    PROFILE_DECIMALS_FROM, PROFILE_STATUS_FROM;

/* Each reads one list of the file into the profile, whose other fields are complete. */
void profile_point_read(const struct reader *reader, const struct node *list,
                        quantity_lookup lookup, struct profile *profile);
void profile_vector_read(const struct reader *reader, const struct node *list,
                         struct profile *profile);
void profile_fingerprint_read(const struct reader *reader, const struct node *list,
                              struct profile *profile);

/* `unit_from`, `decimals_from` and `status_from` of a point whose other fields are complete. */
bool profile_selector_read(const struct reader *reader, const struct node *map,
                           struct profile_point *point);

#endif

/* What two configurations have in common: which parts a reload may leave as they are. Pure.
 *
 * Told by what the files say, never by where they say it: a comment or a blank line more is no
 * difference. */
#ifndef LIFELINE_SETTINGS_DIFF_H
#define LIFELINE_SETTINGS_DIFF_H

#include "config/settings.h"

/* Keys that differ and take effect only in a new process, like "gateway.id, store.sync". Returns
 * how many there are. */
size_t settings_diff_restart(const struct settings *a, const struct settings *b, char *out,
                             size_t size);

/* Line a_line of `a` is line b_line of `b`: its own settings and its devices with all they say, in
 * the same order, and the files of their profiles. */
bool settings_diff_same_line(const struct settings *a, size_t a_line, const struct settings *b,
                             size_t b_line);

bool settings_diff_same_uplink(const struct settings_uplink *a, const struct settings_uplink *b);

/* All of it is the same, in the same order. */
bool settings_diff_same(const struct settings *a, const struct settings *b);

#endif

/* Columns of a terminal that UTF-8 text takes, whatever the locale says. */
#ifndef LIFELINE_WIDTH_H
#define LIFELINE_WIDTH_H

#include <stddef.h>

enum { WIDTH_REPLACED = -1 };

/* Bytes of the character at text, which has not ended. *columns is 2 for 汉字, 0 for what stands
 * upon the character before; WIDTH_REPLACED for a byte that is no UTF-8 and for what no terminal
 * should be sent: a question mark stands for it. */
size_t width_next(const char *text, int *columns);

/* Columns of all of it. */
int width_of(const char *text);

/* Bytes of the longest beginning that takes at most so many columns; *used is how many it takes. */
size_t width_fitting(const char *text, int columns, int *used);

#endif

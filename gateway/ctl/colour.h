/* Alarm levels in their colours. */
#ifndef LIFELINE_COLOUR_H
#define LIFELINE_COLOUR_H

#include <stdint.h>

/* What is printed on stdout until colour_end() is in the colour of the level: 1 red, 2 orange,
 * 3 yellow, 4 blue, else as it is. Nothing happens when stdout is no terminal, or a dumb one, or
 * when NO_COLOR is set (no-color.org). */
void colour_level(uint8_t level);
void colour_end(void);

#endif

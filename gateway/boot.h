/* A number for this boot of the board: monotonic times of one number can be compared. */
#ifndef LIFELINE_BOOT_H
#define LIFELINE_BOOT_H

#include <stdint.h>

/* Never 0; the same in every start of the daemon until the board boots again. */
uint32_t boot_id(void);

#endif

/* Names of serial ports. */
#ifndef LIFELINE_PORT_NAME_H
#define LIFELINE_PORT_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Where udev keeps links to ports by the place of their adapter; ours first. */
extern const char *const PORT_NAME_FOLDERS[];

/* /dev/ttyUSB0 is the adapter that was found first. The link to it in the first of the folders
 * (ended by NULL) that has one: the same after each boot. False for a port that has none, and for
 * one that is named by a link already. */
bool port_name_lasting(const char *const *folders, const char *port, char *out, size_t size)
    __attribute__((warn_unused_result));

#endif

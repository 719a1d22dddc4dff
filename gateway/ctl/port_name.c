/* The name of a serial port that stays the same.
 *
 * Pure but for reading links; any thread. After a boot the adapters of two lines may have changed
 * their ttyUSB numbers, and each line's readings would come under the names of the other's. Owns
 * nothing. */
#include "gateway/ctl/port_name.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const PORT_NAME_FOLDERS[] = {"/dev/lifeline", "/dev/serial/by-path", NULL};

static bool leads_to(const char *link, const char *port)
{
    char real[PATH_MAX];
    return realpath(link, real) && strcmp(real, port) == 0;
}

/* The first by name, so that it is the same each time. */
static bool find(const char *folder, const char *port, char *out, size_t size)
{
    struct dirent **entries;
    bool found = false;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (!found) {
            int length = snprintf(out, size, "%s/%s", folder, entries[i]->d_name);
            found = length > 0 && (size_t)length < size && leads_to(out, port);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return found;
}

bool port_name_lasting(const char *const *folders, const char *port, char *out, size_t size)
{
    struct stat own;
    if (lstat(port, &own) != 0 || !S_ISCHR(own.st_mode))
        return false;
    while (*folders && !find(*folders, port, out, size))
        folders++;
    return *folders != NULL;
}

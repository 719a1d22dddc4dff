/* Passwords and private keys: where they are read, and that nobody else can read them. */
#ifndef LIFELINE_SECRET_H
#define LIFELINE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "config/settings.h"

#define SECRET_FOLDER "/etc/lifeline/secret"

enum {
    SECRET_PATH_MAX = 512,
    SECRET_MAX = 4096 /* bytes of a password: tokens serve as such, too */
};

/* The file to open for one that the configuration names. systemd hands the files of SECRET_FOLDER,
 * which are root's, over as $CREDENTIALS_DIRECTORY/secret_NAME (LoadCredential= of the service,
 * once, at its start); any other, and each without systemd, is read where it is. */
const char *secret_path(const char *path, char *out, size_t size);

/* False, with the file and what to do in why, when its group or others may read the password or the
 * private key of an uplink. A file that is not there is the uplink's to tell. */
bool secret_guarded(const struct settings *settings, char *why, size_t why_size)
    __attribute__((warn_unused_result));

#endif

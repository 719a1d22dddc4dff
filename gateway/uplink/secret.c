/* Secrets in files: handed over by systemd, or read where they are, and then guarded.
 *
 * The main thread checks them before anything starts, uplinks ask for the file at each connect.
 * Looks at names and modes only, never at what is inside; owns nothing. */
#include "gateway/uplink/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NULL, or the name in SECRET_FOLDER of a file that systemd has handed over. */
static const char *handed_over(const char *path)
{
    static const char folder[] = SECRET_FOLDER "/";
    bool inside = strncmp(path, folder, sizeof folder - 1) == 0;
    const char *name = path + sizeof folder - 1;
    return inside && !strchr(name, '/') && getenv("CREDENTIALS_DIRECTORY") ? name : NULL;
}

const char *secret_path(const char *path, char *out, size_t size)
{
    const char *name = handed_over(path);
    if (!name)
        return path;
    int length = snprintf(out, size, "%s/secret_%s", getenv("CREDENTIALS_DIRECTORY"), name);
    return length > 0 && (size_t)length < size ? out : path;
}

static bool is_guarded(const char *path, char *why, size_t why_size)
{
    struct stat file;
    if (!path || handed_over(path) || stat(path, &file) != 0 ||
        (file.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return true;
    snprintf(why, why_size, "%s can be read by others than its owner (mode %04o): chmod 600 %s",
             path, file.st_mode & 07777U, path);
    return false;
}

bool secret_guarded(const struct settings *settings, char *why, size_t why_size)
{
    for (size_t u = 0; u < settings->uplink_count; u++) {
        const struct settings_uplink *uplink = &settings->uplinks[u];
        if (!is_guarded(uplink->password_file, why, why_size) ||
            !is_guarded(uplink->key, why, why_size))
            return false;
    }
    return true;
}

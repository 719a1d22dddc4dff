/* The configuration that `lifelinectl setup` writes: its text, its trial, and how it gets in place,
 * with the password of its uplink.
 *
 * One thread. Owns nothing. A file is tried under a name of its own beside the real one, because
 * profiles are looked for there, and only one that loads takes the real one's place: written,
 * synced and renamed, with the owner of what was there. Never asks anybody anything. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include "gateway/ctl/commission.h"
#include "gateway/uplink/secret.h"

enum { PATH_SIZE = COMMISSION_PATH_MAX, OLD_MAX = 99 };

/* A double-quoted scalar of YAML, whatever the text is. */
static void quote(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    quote(out, text);
    fputs(after, out);
}

static void put_line(FILE *out, const struct commission_line *line)
{
    bool rtu = line->transport == TRANSPORT_RTU;
    fprintf(out, "  - { name: %s, transport: %s, ", line->name,
            settings_transport_name(line->transport));
    put(out, rtu ? "device: " : "host: ", line->place, "");
    if (line->port)
        fprintf(out, ", port: %u", line->port);
    if (line->serial[0])
        put(out, ", serial: ", line->serial, "");
    fputs(" }\n", out);
}

void commission_device_name(const struct commission *commission, size_t device, char out[80])
{
    const struct commission_device *own = &commission->devices[device];
    bool alone = true;
    for (size_t d = 0; d < commission->device_count; d++) {
        const struct commission_device *other = &commission->devices[d];
        alone = alone && (d == device || other->unit != own->unit ||
                          strcmp(other->profile, own->profile) != 0);
    }
    if (alone)
        snprintf(out, 80, "%.45s-%u", own->profile, own->unit);
    else
        snprintf(out, 80, "%.30s-%.20s-%u", own->profile, commission->lines[own->line].name,
                 own->unit);
}

static void put_devices(FILE *out, const struct commission *commission)
{
    bool headed = false;
    for (size_t d = 0; d < commission->device_count; d++) {
        const struct commission_device *device = &commission->devices[d];
        char name[80];
        if (!device->profile[0])
            continue;
        commission_device_name(commission, d, name);
        fprintf(out, "%s  - { name: %s, line: %s, unit: %u, profile: %s }\n",
                headed ? "" : "\ndevices:\n", name, commission->lines[device->line].name,
                device->unit, device->profile);
        headed = true;
    }
    for (size_t d = 0; d < commission->device_count; d++) {
        const struct commission_device *device = &commission->devices[d];
        if (!device->profile[0])
            fprintf(out, say("\n# 未定：%s 地址 %u：%s\n", "\n# Not decided: %s, unit %u: %s\n"),
                    commission->lines[device->line].name, device->unit,
                    say(device->why_zh, device->why));
    }
}

bool commission_is_tls(const struct commission *commission)
{
    return commission->url && strncmp(commission->url, "mqtts:", strlen("mqtts:")) == 0;
}

static void put_uplink(FILE *out, const struct commission *commission)
{
    put(out, "\nuplinks:\n  - name: city\n    urls: [",
        commission->url ? commission->url : "mqtt://a", "]\n");
    if (commission->username)
        put(out, "    username: ", commission->username, "\n");
    if (commission->password_file)
        put(out, "    password_file: ", commission->password_file, "\n");
    if (commission->ca || commission_is_tls(commission))
        put(out, "    tls: { ca: ", commission->ca ? commission->ca : "/a", " }\n");
}

char *commission_text(const struct commission *commission)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs(say("# 由 lifelinectl setup 写出。各个键的含义：lifelinectl config --explain，\n"
              "# lifeline.yaml(5)。修改之后：lifelinectl check，\n"
              "# systemctl reload lifeline-gateway。\n\n",
              "# Written by `lifelinectl setup`. What every key means:\n"
              "# lifelinectl config --explain, lifeline.yaml(5). After a change:\n"
              "# lifelinectl check, systemctl reload lifeline-gateway.\n\n"),
          out);
    put(out, "gateway:\n  id: ", commission->id ? commission->id : "a", "\n");
    put(out, "  region: ", commission->region ? commission->region : "140502", "\n");
    if (commission->name && commission->name[0])
        put(out, "  name: ", commission->name, "\n");
    fputs("\nlines:\n", out);
    for (size_t l = 0; l < commission->line_count; l++)
        put_line(out, &commission->lines[l]);
    if (commission->line_count == 0)
        fputs("  - { name: a, transport: tcp, host: a }\n", out);
    put_devices(out, commission);
    put_uplink(out, commission);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- files ---- */

static bool failed(const char *path, char *why, size_t why_size)
{
    snprintf(why, why_size, say("%s：%s", "%s: %s"), path, say_errno(errno));
    return false;
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t done = write(fd, text, left);
        if (done < 0 && errno != EINTR)
            return false;
        text += done > 0 ? done : 0;
        left -= done > 0 ? (size_t)done : 0;
    }
    return fsync(fd) == 0;
}

/* A draft for a path: synced, at most as open as mode, and whose what stands there is. */
static bool write_file(const char *draft, const char *path, const char *text, mode_t mode,
                       char *why, size_t why_size)
{
    struct stat before;
    bool replaces = stat(path, &before) == 0;
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 &&
              (!replaces || geteuid() != 0 || fchown(fd, before.st_uid, before.st_gid) == 0) &&
              fchmod(fd, replaces ? mode & before.st_mode : mode) == 0 && write_all(fd, text);
    if (!ok)
        failed(draft, why, why_size);
    if (fd >= 0)
        close(fd);
    if (!ok && fd >= 0)
        unlink(draft);
    return ok;
}

static bool write_draft(const struct commission *commission, const char *path,
                        char draft[PATH_SIZE], char *why, size_t why_size)
{
    snprintf(draft, PATH_SIZE, "%s.setup", path);
    char *text = commission_text(commission);
    bool ok = text && write_file(draft, path, text, 0644, why, why_size);
    if (!text)
        snprintf(why, why_size, "%s", say("内存不足", "out of memory"));
    free(text);
    return ok;
}

/* What is wrong, without the places: they are in a file nobody has seen. */
static void errors_of(struct diagnostics *diagnostics, char *why, size_t why_size)
{
    static const char mark[] = "error: ";
    size_t used = 0;
    why[0] = '\0';
    for (const char *at = diagnostics_text(diagnostics); (at = strstr(at, mark)) != NULL;) {
        at += sizeof mark - 1;
        int length = snprintf(why + used, why_size - used, "%s%.*s", used ? "; " : "",
                              (int)strcspn(at, "\n"), at);
        used += length > 0 ? (size_t)length : 0;
        if (used >= why_size)
            return;
    }
}

bool commission_try(const struct commission *commission, struct setup *setup, char *why,
                    size_t why_size)
{
    char path[PATH_SIZE];
    if (!write_draft(commission, commission->ctl->config, path, why, why_size))
        return false;
    bool fine = setup_load(setup, path, &commission->ctl->profiles, true);
    unlink(path);
    if (fine)
        return true;
    snprintf(why, why_size, "%s", say("内存不足", "out of memory"));
    if (setup->diagnostics)
        errors_of(setup->diagnostics, why, why_size);
    setup_free(setup);
    return false;
}

static void folder_of(const char *path, char out[PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, PATH_SIZE, "%.*s", slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
}

static bool sync_folder(const char *path, char *why, size_t why_size)
{
    char folder[PATH_SIZE];
    folder_of(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        failed(folder, why, why_size);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* What stands there gets a second name, one that is free. */
static bool keep_old(const char *path)
{
    char old[PATH_SIZE];
    snprintf(old, sizeof old, "%s.old", path);
    bool kept = link(path, old) == 0 || errno == ENOENT;
    for (int n = 2; !kept && errno == EEXIST && n <= OLD_MAX; n++) {
        snprintf(old, sizeof old, "%s.old-%d", path, n);
        kept = link(path, old) == 0;
    }
    return kept;
}

static bool put_in_place(const char *draft, const char *path, char *why, size_t why_size)
{
    if (keep_old(path) && rename(draft, path) == 0)
        return sync_folder(path, why, why_size);
    failed(path, why, why_size);
    unlink(draft);
    return false;
}

bool commission_secret_path(const struct commission *commission, const char *name,
                            char out[COMMISSION_PATH_MAX], char *why, size_t why_size)
{
    char folder[PATH_SIZE];
    folder_of(commission->ctl->config, folder);
    char *whole = realpath(folder, NULL); /* the daemon has another working folder */
    if (whole)
        snprintf(out, COMMISSION_PATH_MAX, "%s/secret/%s", whole, name);
    else
        failed(folder, why, why_size);
    free(whole);
    return whole != NULL;
}

static bool place_secret(const struct commission *commission, char *why, size_t why_size)
{
    const char *path = commission->password_file;
    char folder[PATH_SIZE], draft[PATH_SIZE], text[SECRET_MAX + 2];
    folder_of(path, folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return failed(folder, why, why_size);
    snprintf(draft, sizeof draft, "%s.setup", path);
    snprintf(text, sizeof text, "%s\n", commission->password);
    bool ok = write_file(draft, path, text, 0600, why, why_size) &&
              put_in_place(draft, path, why, why_size);
    explicit_bzero(text, sizeof text);
    return ok && sync_folder(commission->ctl->config, why, why_size);
}

bool commission_place(const struct commission *commission, char *why, size_t why_size)
{
    char draft[PATH_SIZE];
    char *target = realpath(commission->ctl->config, NULL); /* of a link what it leads to */
    const char *path = target ? target : commission->ctl->config;
    bool ok = (!commission->password || place_secret(commission, why, why_size)) &&
              write_draft(commission, path, draft, why, why_size) &&
              put_in_place(draft, path, why, why_size);
    free(target);
    return ok;
}

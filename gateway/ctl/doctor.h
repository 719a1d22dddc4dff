/* lifelinectl doctor: what an examination is given, and how it tells what it found. */
#ifndef LIFELINE_DOCTOR_H
#define LIFELINE_DOCTOR_H

#include <sys/types.h>

#include "gateway/ctl/ctl.h"

enum doctor_severity {
    DOCTOR_WARNING,
    DOCTOR_FAULT,
    DOCTOR_STOPS, /* a fault with which the daemon does not start */
};

enum { DOCTOR_GROUPS_MAX = 64, DOCTOR_NAME_MAX = 33, DOCTOR_NOT_KNOWN = -1 };

/* Whom files are judged for: who runs the daemon, or would. */
struct doctor_user {
    char name[DOCTOR_NAME_MAX];
    uid_t uid;
    gid_t groups[DOCTOR_GROUPS_MAX];
    int group_count;
};

struct doctor {
    const struct ctl *ctl;
    struct setup setup;
    const struct settings *settings; /* NULL: it does not load */
    json_t *status, *lines;          /* as the daemon says; NULL: it does not answer */
    int socket_error;                /* why not; 0: it does */
    pid_t daemon;                    /* 0: not known */
    struct doctor_user user;
    bool dns_is_silent;   /* a name was asked for in vain: each takes half a minute */
    char passed_over[80]; /* the first file that who asks may not look at */
    size_t passed_over_count;
    json_t *findings; /* {id, severity, stops, what, advice}, in the language of people */
};

/* What is the case. The id is for scripts and stays as it is. */
void doctor_finds(struct doctor *doctor, const char *id, enum doctor_severity severity,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What to do about what was found last. */
void doctor_advises(struct doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* doctor_user.c */

/* Who answers behind the socket (pid > 0) with the groups that process has, else the service's
 * user, else who asks. */
void doctor_user_find(struct doctor_user *user, pid_t pid, uid_t uid);

/* 0, or why this user may not have the file so (R_OK, W_OK), by the modes of it and of the folders
 * above it; DOCTOR_NOT_KNOWN where who asks may not see them. Root may. */
int doctor_user_denied(const struct doctor_user *user, const char *path, int want);

/* Who asks may not look at this file, of which nothing is said then; told once, at the end. */
void doctor_user_passes_over(struct doctor *doctor, const char *path);
void doctor_user_passed_over(struct doctor *doctor);

/* The first program but `except` and ourselves that has the file open, as far as /proc shows; 0. */
pid_t doctor_user_holder(const char *path, pid_t except, char name[DOCTOR_NAME_MAX]);

/* The examinations, by subject */
void doctor_configuration(struct doctor *doctor); /* doctor_files.c */
void doctor_secrets(struct doctor *doctor);
void doctor_ports(struct doctor *doctor);   /* doctor_ports.c */
void doctor_clock(struct doctor *doctor);   /* doctor_clock.c */
void doctor_store(struct doctor *doctor);   /* doctor_store.c */
void doctor_lines(struct doctor *doctor);   /* doctor_lines.c */
void doctor_uplinks(struct doctor *doctor); /* doctor_uplinks.c */
void doctor_daemon(struct doctor *doctor);  /* doctor_daemon.c */

/* Whether such an address can be talked to; false, when it told what is wrong. doctor_broker.c */
bool doctor_broker(struct doctor *doctor, const struct settings_uplink *uplink,
                   const struct settings_url *url);

/* The TLS part of it on a connected socket. doctor_tls.c */
bool doctor_tls(struct doctor *doctor, const struct settings_uplink *uplink,
                const struct settings_url *url, int fd);

/* Pure: what a wall clock of this time is worth, to the examination of the clock. */
enum doctor_time { DOCTOR_TIME_FINE, DOCTOR_TIME_NEVER_SET, DOCTOR_TIME_UNSYNCED, DOCTOR_TIME_RTC };
enum doctor_time doctor_clock_judge(int64_t wall_ms, bool synced, bool trusted_rtc);

#endif

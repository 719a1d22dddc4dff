/* lifelinectl: what a command is, and what it is given. */
#ifndef LIFELINE_CTL_H
#define LIFELINE_CTL_H

#include <jansson.h>

#include "drivers/setup.h"
#include "gateway/ctl/say.h"

enum ctl_exit { CTL_FINE = 0, CTL_FINDING = 1, CTL_USAGE = 2, CTL_NO_DAEMON = 3 };

/* How query writes its readings. */
enum ctl_form { CTL_TEXT, CTL_JSON_LINES, CTL_CSV };

struct ctl;

struct command {
    const char *name;
    const char *arguments; /* as the help shows them */
    struct words help;
    int least, most; /* arguments; most -1 = any number */
    enum ctl_exit (*run)(struct ctl *ctl);
    void (*text)(const json_t *result); /* what run() found out, for people */
};

/* An output format: run() hands every result to it. */
struct writer {
    const char *name;
    void (*write)(const struct command *command, const json_t *result);
};

/* watch; NULL = not given */
struct ctl_broker {
    const char *url, *username, *password_file, *ca, *cert, *key;
};

enum { CTL_LIST_MAX = 64 };

/* An option that may be given several times. */
struct ctl_list {
    const char *words[CTL_LIST_MAX];
    size_t count;
};

/* What was given, where options_table says. */
struct ctl {
    bool help, version;
    const char *socket;
    struct setup_path profiles;
    const char *config;                /* check, probe, query */
    const char *record;                /* probe: a file for the transcript, or NULL */
    bool scan;                         /* probe */
    const char *explain;               /* check: DEVICE.POINT, DEVICE or "all"; NULL = not given */
    bool explain_keys;                 /* config */
    const char *since;                 /* query, NULL = not given */
    const char *until;                 /* likewise */
    enum ctl_form form;                /* query */
    bool follow;                       /* alarms, as what follows; NULL = not given */
    const char *level, *sector, *note; /* the first two: watch, too */
    struct ctl_broker broker;          /* watch, as what follows */
    const char *root, *region, *gateway; /* region: setup, too */
    const char *id, *name;               /* setup, as what follows */
    struct ctl_list line, profile;
    bool force;
    const struct writer *writer;
    const struct command *command;
    char **arguments;
    int argument_count;
};

/* One file each. */
extern const struct command status_command, tail_command, read_command, check_command,
    probe_command, query_command, alarms_command, report_command, watch_command, config_command,
    names_command, doctor_command, setup_command;

#endif

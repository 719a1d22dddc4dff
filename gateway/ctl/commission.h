/* What the files of `lifelinectl setup` share. Nobody else includes it. */
#ifndef LIFELINE_COMMISSION_H
#define LIFELINE_COMMISSION_H

#include "gateway/ctl/probe.h"

enum {
    COMMISSION_LINES_MAX = CTL_LIST_MAX,
    COMMISSION_DEVICES_MAX = 256,
    COMMISSION_WHY_MAX = 400,
    COMMISSION_PATH_MAX = 4096
};

struct commission_line {
    char name[33];
    enum transport_kind transport;
    char place[256]; /* a serial port, or a host */
    uint16_t port;   /* 0 = the default */
    char serial[24]; /* "" = the default, or what the bus says */
};

struct commission_device {
    size_t line;
    uint8_t unit;
    char profile[64];                                         /* "": nobody can tell */
    char why[COMMISSION_WHY_MAX], why_zh[COMMISSION_WHY_MAX]; /* why not */
};

/* What was given, asked and found. */
struct commission {
    const struct ctl *ctl;
    bool asks; /* somebody sits at a terminal */
    const char *id, *region, *name, *url, *username, *password_file, *ca; /* NULL: not known */
    char *password; /* what is to be written into password_file; NULL: it is there */
    struct commission_line lines[COMMISSION_LINES_MAX];
    size_t line_count;
    struct commission_device devices[COMMISSION_DEVICES_MAX];
    size_t device_count;
    bool partial; /* what is written is not all, or not sure; that has been said */
};

/* ---- commission_ask.c ---- */

/* Takes what the options give and asks for the rest. False when something is missing or wrong,
 * which has been said. Answers are kept for as long as the program runs. */
bool commission_gather(struct commission *commission) __attribute__((warn_unused_result));

/* Asks which of the models that fit a unit is; NULL when nobody sits there or wants to say. */
const char *commission_ask_model(const struct commission *commission, const char *question,
                                 const struct probe_models *models);

/* ---- commission_line.c ---- */

/* Adds a line: "/dev/ttyS1", "/dev/ttyS1,4800 8N1", "tcp://HOST[:PORT]",
 * "rtu-over-tcp://HOST:PORT[,9600 8N1]". False with why when it is none, when there is no such port
 * or it is there already. */
bool commission_add_line(struct commission *commission, const char *text, char *why,
                         size_t why_size) __attribute__((warn_unused_result));

/* ---- commission_file.c ---- */

/* The broker is one that shows a certificate. */
bool commission_is_tls(const struct commission *commission);

/* The configuration, to be freed. NULL without memory. What is not known yet stands there as
 * something that is right. */
char *commission_text(const struct commission *commission);

/* The name that a device has there. */
void commission_device_name(const struct commission *commission, size_t device, char out[80]);

/* Loads that text as the daemon would. False, with the first thing that is wrong in why. On success
 * the caller frees the setup. */
bool commission_try(const struct commission *commission, struct setup *setup, char *why,
                    size_t why_size) __attribute__((warn_unused_result));

/* Where the password of the uplink NAME is kept: secret/NAME beside the configuration. False with
 * why. */
bool commission_secret_path(const struct commission *commission, const char *name,
                            char out[COMMISSION_PATH_MAX], char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* Puts the password, if there is one, and then the configuration in place, each whole or not at
 * all. What was there is kept as FILE.old, or FILE.old-2 when there is one. False with why. */
bool commission_place(const struct commission *commission, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* ---- commission_scan.c ---- */

/* False, which has been said, when a --profile is not of the form [LINE:]UNIT=NAME, or there is no
 * such line or model. */
bool commission_check_profiles(const struct commission *commission,
                               const struct probe_catalogue *catalogue)
    __attribute__((warn_unused_result));

/* Asks who is on the line, and what; adds devices. False when the line cannot be opened, which has
 * been said. */
bool commission_scan(struct commission *commission, const struct settings *settings, size_t line,
                     const struct probe_catalogue *catalogue) __attribute__((warn_unused_result));

/* Says which --profile nobody answers to. */
void commission_check_matches(struct commission *commission);

#endif

/* What the files of `lifelinectl setup` share. Nobody else includes it. */
#ifndef LIFELINE_COMMISSION_H
#define LIFELINE_COMMISSION_H

#include "gateway/ctl/probe.h"

enum {
    COMMISSION_LINES_MAX = CTL_LIST_MAX,
    COMMISSION_DEVICES_MAX = 256,
    COMMISSION_WHY_MAX = 400
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
    struct commission_line lines[COMMISSION_LINES_MAX];
    size_t line_count;
    struct commission_device devices[COMMISSION_DEVICES_MAX];
    size_t device_count;
    bool took[CTL_LIST_MAX]; /* which --profile had its unit */
    bool partial;            /* a line broke off, or nobody answers on it; that has been said */
};

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

/* Puts it in place, whole or not at all; what was there is kept as FILE.old. False with why. */
bool commission_place(const struct commission *commission, char *why, size_t why_size)
    __attribute__((warn_unused_result));

/* Writes a password into secret/NAME beside the configuration, for its owner alone; the path into
 * out. False with why. */
bool commission_keep_secret(const struct commission *commission, const char *name,
                            const char *password, char *out, size_t out_size, char *why,
                            size_t why_size) __attribute__((warn_unused_result));

/* ---- commission_scan.c ---- */

/* Asks who is on the line, and what; adds devices. False when the line cannot be opened, which has
 * been said. */
bool commission_scan(struct commission *commission, const struct settings *settings, size_t line,
                     const struct probe_catalogue *catalogue) __attribute__((warn_unused_result));

/* ---- commission.c ---- */

/* Asks for one of several; NULL when nobody sits there or wants to say. */
const char *commission_choose(const struct commission *commission, const char *question,
                              const char *const *words, size_t count);

#endif

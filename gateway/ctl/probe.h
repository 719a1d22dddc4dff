/* What the files of `lifelinectl probe` share. Nobody else includes it. */
#ifndef LIFELINE_CTL_PROBE_H
#define LIFELINE_CTL_PROBE_H

#include "drivers/probe.h"
#include "gateway/ctl/ctl.h"

enum { PROBE_WHY_MAX = 240 };

struct probe_device { /* configured on the line */
    char *name, *profile;
    uint8_t unit;
    uint16_t base;
};

/* A line that can be asked: lent by the daemon, or opened here. */
struct probe_port {
    struct settings_line line; /* its name is the caller's */
    struct probe_device *devices;
    size_t device_count;
    struct probe_daemon *daemon;  /* NULL: we have opened the line ourselves */
    struct transport *transport;  /* then */
    struct settings_line current; /* with the serial settings that transport has now */
    FILE *record;                 /* NULL: no transcript */
    struct serial recorded;       /* the last settings that stand in it */
    struct serial refused;        /* the last settings that the port does not take */
    uint32_t questions, link_failures;
    /* why no more can be asked; "" when somebody has had enough */
    char why[PROBE_WHY_MAX], why_zh[PROBE_WHY_MAX];
};

/* Whatever goes wrong is said on stderr. probe_port_close() in either case. */
enum ctl_exit probe_port_open(struct probe_port *port, const struct ctl *ctl,
                              const struct settings *settings, const char *name)
    __attribute__((warn_unused_result));
void probe_port_close(struct probe_port *port);

/* Sets why, in both languages: JSON holds both. */
void probe_port_say(struct probe_port *port, const char *zh, const char *en, ...)
    __attribute__((format(printf, 2, 4), format(printf, 3, 4)));

/* From here on Ctrl-C ends the questions instead of the program. */
void probe_port_catch_signals(void);
bool probe_port_stopped(void);

/* The probe_ask of both kinds; context is the port. */
bool probe_port_ask(void *context, const struct probe_question *question,
                    struct probe_answer *answer);

/* probe_daemon.c: the same over the daemon's API */
struct probe_daemon;

/* NULL when no daemon answers. *code is CTL_USAGE when it has no such line, which has been said. */
struct probe_daemon *probe_daemon_open(struct probe_port *port, const char *socket,
                                       const char *name, enum ctl_exit *code);
void probe_daemon_close(struct probe_daemon *daemon);
bool probe_daemon_ask(struct probe_port *port, const struct probe_question *question,
                      struct probe_answer *answer);

/* probe_report.c: what was found, as JSON */
json_t *probe_report_serial(const struct serial *serial);

/* One unit; what is configured for it and what fits are added to it. */
json_t *probe_report_unit(const struct probe_unit *unit);
json_t *probe_report_device(const struct probe_device *device, bool known,
                            const struct probe_reading *reading);
json_t *probe_report_model(const struct probe_reading *reading);

/* Adds what a person should know or do about it, in words, as "advice" and "advice_zh". */
void probe_report_advice(json_t *unit, const struct settings_line *line, bool scanned);

/* probe_text.c: for people */
void probe_text_show(const json_t *result);

/* "t 23.4 °C, rh 45 %": the values of a report that say something. */
json_t *probe_text_values(const json_t *values);

void probe_text_progress(const struct probe_step *step, size_t done, size_t count, size_t found);
void probe_text_looking(const struct probe_unit *unit);
void probe_text_progress_end(void);

#endif

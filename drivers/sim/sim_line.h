/* One simulated line: its listener or pty and the wires that lead into it. */
#ifndef LIFELINE_SIM_LINE_H
#define LIFELINE_SIM_LINE_H

#include "drivers/sim/sim_wire.h"

struct sim_line;

/* What an epoll event points to: a line that listens (wire NULL), or one of its wires. */
struct sim_source {
    struct sim_line *line;
    struct sim_wire *wire;
    struct sim_source *next;
    uint32_t events; /* asked for */
    bool gone;
};

struct sim_line_options {
    const char
        *listen; /* address to bind instead of the line's host; NULL: the host, on loopback */
    bool line_time;
    uint32_t turnaround_ms;
    uint32_t connections; /* a line takes; one more is closed at once */
};

/* Settings, stage and options must outlive it. NULL when there is no memory. */
struct sim_line *sim_line_new(const struct settings *settings, uint32_t index,
                              struct sim_stage *stage, const struct sim_line_options *options,
                              int epoll_fd);
void sim_line_free(struct sim_line *line);

/* Binds, or makes the pty and its symlink. False with a reason in `why`. */
bool sim_line_open(struct sim_line *line, char *why, size_t why_size)
    __attribute__((warn_unused_result));
void sim_line_close(struct sim_line *line);

/* Where it listens, for people: "tcp 127.0.0.1:502", "rtu /tmp/tty -> /dev/pts/3". */
void sim_line_describe(const struct sim_line *line, char *out, size_t out_size);

void sim_line_event(struct sim_source *source, uint32_t events, int64_t now_ns);

/* Does what is due, forgets wires that are gone, drops or restores the link as the script says.
 * When it wants to be called next. */
int64_t sim_line_run(struct sim_line *line, int64_t now_ns);

#endif

/* One way in to a simulated line: a TCP connection or the master side of a pty. */
#ifndef LIFELINE_SIM_WIRE_H
#define LIFELINE_SIM_WIRE_H

#include "drivers/sim/sim_journal.h"

/* What all lines share. */
struct sim_stage {
    struct sim_faults faults;
    int64_t faults_start_ns;             /* their time 0, on the clock of now_ns */
    struct sim_journal *journal;         /* or NULL */
    const struct sim_scenario *scenario; /* or NULL */
    int64_t scenario_start_ns;           /* likewise */
    uint32_t speed;                      /* the scenario's time runs so much faster */
};

/* What all wires of a line share. */
struct sim_service {
    const struct settings_line *settings;
    int32_t line; /* index into the settings */
    struct sim_units *units;
    struct sim_stage *stage;
    struct sim_frame_pace pace; /* all 0 on TCP and without line time */
};

struct sim_wire;

/* Takes the file descriptor (non-blocking). NULL when there is no memory. */
struct sim_wire *sim_wire_new(int fd, struct sim_service *service);
void sim_wire_free(struct sim_wire *wire);
int sim_wire_fd(const struct sim_wire *wire);

/* Reads what has come. False when the peer is gone or talks no Modbus TCP. */
bool sim_wire_read(struct sim_wire *wire, int64_t now_ns);

/* Does what is due: ends a frame, sends bytes. False when the peer is gone. */
bool sim_wire_run(struct sim_wire *wire, int64_t now_ns);

/* When sim_wire_run() is next due; INT64_MAX for when something comes. */
int64_t sim_wire_next_ns(const struct sim_wire *wire);

bool sim_wire_wants_read(const struct sim_wire *wire);
bool sim_wire_wants_write(const struct sim_wire *wire);

#endif

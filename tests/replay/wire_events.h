/* Alarms, the list of what is up, and a report, as alarm.c, active.c and report.c write them. */
#ifndef LIFELINE_WIRE_EVENTS_H
#define LIFELINE_WIRE_EVENTS_H

/* One line a message on stdout: its name and its bytes in hex. check_events.py knows what they
 * say. */
void wire_events_dump(void);

#endif

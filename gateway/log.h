/* One line to stderr, with the priority prefix that journald reads ("<4>...").
 *
 * Any thread. A message is one line; where it tells of a state it is written once per change of
 * that state, never once per failure. */
#ifndef LIFELINE_LOG_H
#define LIFELINE_LOG_H

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* A stored reading as a line of JSON, with the members of /v1/latest: for /v1/history, and for
 * lifelinectl where it reads the file itself. */
#ifndef LIFELINE_HISTORY_LINE_H
#define LIFELINE_HISTORY_LINE_H

#include "gateway/store/history.h"

enum { HISTORY_LINE_MAX = 1024, HISTORY_LINE_REAL_MAX = 32 };

/* The line, newline included; its length. */
size_t history_line(const struct history_reading *reading, char out[HISTORY_LINE_MAX]);

/* The last line: how many readings came, how many rows were damaged and left out; `incomplete` when
 * some of it lies on a disk that is out of reach. */
size_t history_line_last(const struct history *history, char out[HISTORY_LINE_MAX]);

/* The shortest decimal number that is this float and no other. */
void history_line_real(float real, char out[HISTORY_LINE_REAL_MAX]);

#endif

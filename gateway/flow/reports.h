/* The newest reports, for whoever asks the daemon: those of before its start too. Any thread. */
#ifndef LIFELINE_REPORTS_H
#define LIFELINE_REPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPORTS_KEPT = 100 };

struct reports;

struct reports *reports_new(void);
void reports_free(struct reports *reports);

/* A packed Report (proto/report.h); the oldest by its time gives way. Without memory it is not
 * kept, as nothing but this list depends on it. */
void reports_add(struct reports *reports, int64_t at_ms, const uint8_t *bytes, size_t length);

/* A copy of the index-th, the oldest first; its length, 0: there is none. */
size_t reports_read(struct reports *reports, size_t index, uint8_t *out, size_t capacity);

#endif

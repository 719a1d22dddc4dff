/* A short list of packed reports, by time.
 *
 * The pipeline thread adds, the API reads; the mutex covers a copy of some KB. What is older than
 * the REPORTS_KEPT newest is in the store only. */
#include "gateway/flow/reports.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    int64_t at_ms;
    uint8_t *bytes;
    size_t length;
};

struct reports {
    pthread_mutex_t mutex;
    struct kept kept[REPORTS_KEPT]; /* by time */
    size_t count;
};

struct reports *reports_new(void)
{
    struct reports *reports = calloc(1, sizeof *reports);
    if (reports)
        pthread_mutex_init(&reports->mutex, NULL);
    return reports;
}

void reports_free(struct reports *reports)
{
    if (!reports)
        return;
    for (size_t i = 0; i < reports->count; i++)
        free(reports->kept[i].bytes);
    pthread_mutex_destroy(&reports->mutex);
    free(reports);
}

/* Its place among the others; the first goes when there are too many. */
static void insert(struct reports *reports, const struct kept *one)
{
    if (reports->count == REPORTS_KEPT) {
        if (one->at_ms < reports->kept[0].at_ms) {
            free(one->bytes);
            return;
        }
        free(reports->kept[0].bytes);
        reports->count--;
        memmove(reports->kept, reports->kept + 1, reports->count * sizeof *one);
    }
    size_t at = reports->count++;
    for (; at > 0 && reports->kept[at - 1].at_ms > one->at_ms; at--)
        reports->kept[at] = reports->kept[at - 1];
    reports->kept[at] = *one;
}

void reports_add(struct reports *reports, int64_t at_ms, const uint8_t *bytes, size_t length)
{
    struct kept one = {.at_ms = at_ms, .bytes = malloc(length + 1), .length = length};
    if (!one.bytes)
        return;
    memcpy(one.bytes, bytes, length);
    pthread_mutex_lock(&reports->mutex);
    insert(reports, &one);
    pthread_mutex_unlock(&reports->mutex);
}

size_t reports_read(struct reports *reports, size_t index, uint8_t *out, size_t capacity)
{
    size_t length = 0;
    pthread_mutex_lock(&reports->mutex);
    if (index < reports->count && reports->kept[index].length <= capacity) {
        length = reports->kept[index].length;
        memcpy(out, reports->kept[index].bytes, length);
    }
    pthread_mutex_unlock(&reports->mutex);
    return length;
}

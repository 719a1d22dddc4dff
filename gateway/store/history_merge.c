/* Rows into readings in the order of time: a merge of as many columns as are under way.
 *
 * Runs wherever the asker lives, while it has the scan. A row waits, as the bytes it was stored as,
 * until the time of its first reading has come; then each of its wanted columns is a cursor in a
 * heap, which undoes one reading at a time: a minute of ten thousand points is never spread out in
 * memory. A reading is given out when no row to come can hold an earlier one, or when no more rows
 * fit. Never touches the database. */
#include "gateway/store/history_parts.h"

#include <stdlib.h>

/* The earlier reading; at the same time the point that was named first. */
static bool is_before(const struct history_cursor *a, const struct history_cursor *b)
{
    if (a->reading.time_ms != b->reading.time_ms)
        return a->reading.time_ms < b->reading.time_ms;
    return a->name < b->name;
}

static void sift_up(struct history_cursor **heap, size_t at)
{
    struct history_cursor *cursor = heap[at];
    for (; at > 0 && is_before(cursor, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = cursor;
}

static void sift_down(struct history_cursor **heap, size_t count, struct history_cursor *cursor)
{
    size_t at = 0, child;
    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], cursor))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = cursor;
}

/* Index of a wanted point; names->count when it is none. */
static size_t name_of(const struct history_names *names, uint32_t device, uint32_t point)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct history_name *name = &names->list[middle];
        if (name->device < device || (name->device == device && name->point < point))
            low = middle + 1;
        else
            high = middle;
    }
    bool found =
        low < names->count && names->list[low].device == device && names->list[low].point == point;
    return found ? low : names->count;
}

/* On to the cursor's next reading inside the span of time. */
static bool advance(const struct history *history, struct history_cursor *cursor)
{
    while (segment_read_next(&cursor->column, &cursor->reading)) {
        if (cursor->reading.time_ms >= history->since_ms &&
            cursor->reading.time_ms < history->until_ms)
            return true;
    }
    return false;
}

static void let_go(struct history_names *names)
{
    if (!names || --names->holders)
        return;
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i].texts[0]);
    free(names->list);
    free(names);
}

static void release(struct history *history, struct history_row *row)
{
    history->bytes -= row->length;
    let_go(row->names);
    history_row_free(row);
}

/* Rows come nearly in order: it goes in near the end. */
void history_merge_add(struct history *history, struct history_row *row)
{
    struct history_row *before = history->pending_end;
    while (before && before->base_ms > row->base_ms)
        before = before->previous;
    row->previous = before;
    row->next = before ? before->next : history->pending;
    *(before ? &before->next : &history->pending) = row;
    *(row->next ? &row->next->previous : &history->pending_end) = row;
    history->bytes += row->length;
    row->names = history->names;
    row->names->holders++;
}

/* The first pending row is pending no more. */
static struct history_row *take_pending(struct history *history)
{
    struct history_row *row = history->pending;
    history->pending = row->next;
    *(row->next ? &row->next->previous : &history->pending_end) = NULL;
    return row;
}

void history_merge_next_epoch(struct history *history)
{
    let_go(history->names);
    history->names = NULL;
    history->named_device = -1;
    history->epoch++;
    history->phase = HISTORY_PHASE_NAMES;
}

void history_merge_drop(struct history *history)
{
    for (size_t i = 0; i < history->heap_count; i++) {
        if (--history->heap[i]->row->unread == 0)
            release(history, history->heap[i]->row);
    }
    history->heap_count = 0;
    while (history->pending)
        release(history, take_pending(history));
    let_go(history->names);
    let_go(history->given);
    history->names = history->given = NULL;
}

static size_t count_wanted(const struct history_row *row)
{
    struct segment_read segment;
    struct segment_read_column column;
    size_t count = 0;
    if (!segment_read_begin(&segment, row->bytes, row->length))
        return 0;
    while (segment_read_column(&segment, &column))
        count += name_of(row->names, column.device, column.point) < row->names->count;
    return count;
}

static bool reserve(struct history *history, size_t more)
{
    if (history->heap_count + more <= history->heap_capacity)
        return true;
    size_t capacity = 2 * history->heap_capacity + more;
    struct history_cursor **heap = realloc(history->heap, capacity * sizeof *heap);
    if (!heap)
        return false;
    history->heap = heap;
    history->heap_capacity = capacity;
    return true;
}

/* A cursor for each wanted column that has a reading in the span. */
static void set_cursors(struct history *history, struct history_row *row)
{
    struct segment_read segment;
    struct history_cursor *cursor = row->cursors;
    bool sound = segment_read_begin(&segment, row->bytes, row->length);
    while (sound && segment_read_column(&segment, &cursor->column)) {
        size_t name = name_of(row->names, cursor->column.device, cursor->column.point);
        if (name == row->names->count)
            continue;
        cursor->name = (uint32_t)name;
        cursor->row = row;
        if (!advance(history, cursor))
            continue;
        history->heap[history->heap_count] = cursor;
        sift_up(history->heap, history->heap_count++);
        row->unread++;
        cursor++;
    }
}

/* The first pending row's time has come. */
static bool begin_row(struct history *history)
{
    struct history_row *row = take_pending(history);
    size_t count = count_wanted(row);
    if (count) {
        /* one more: the column that is looked at last may be one that nobody wants */
        row->cursors = calloc(count + 1, sizeof *row->cursors);
        if (!row->cursors || !reserve(history, count)) {
            release(history, row);
            return history_fail(history, "out of memory");
        }
        set_cursors(history, row);
    }
    if (!row->unread)
        release(history, row);
    return true;
}

static void give(struct history *history, struct history_reading *out)
{
    struct history_cursor *cursor = history->heap[0];
    char *const *texts = cursor->row->names->list[cursor->name].texts;
    *out = (struct history_reading){.device = texts[0],
                                    .point = texts[1],
                                    .unit = texts[2],
                                    .time_ms = cursor->reading.time_ms,
                                    .value = cursor->reading.value,
                                    .decimals = cursor->column.decimals,
                                    .is_float = cursor->column.is_float};
    history->given = cursor->row->names;
    history->given->holders++;
    history->readings++;
    if (advance(history, cursor)) {
        sift_down(history->heap, history->heap_count, cursor);
        return;
    }
    struct history_cursor *last = history->heap[--history->heap_count];
    if (history->heap_count)
        sift_down(history->heap, history->heap_count, last);
    if (--cursor->row->unread == 0)
        release(history, cursor->row);
}

enum history_step history_next(struct history *history, struct history_reading *out)
{
    let_go(history->given);
    history->given = NULL;
    while (history->phase == HISTORY_PHASE_ROWS) {
        bool any = history->heap_count > 0, loaded = history->frontier_ms == INT64_MAX;
        int64_t now_ms = any ? history->heap[0]->reading.time_ms : INT64_MAX;
        if (loaded && history->epoch + 1 < history->epoch_count) {
            history_merge_next_epoch(history); /* it may begin before this one ends */
        } else if (history->pending && history->pending->base_ms <= now_ms) {
            if (!begin_row(history))
                break;
        } else if (!any && loaded) {
            history->phase = HISTORY_PHASE_DONE;
        } else if (!any || (history->frontier_ms <= now_ms && history->bytes < HISTORY_BYTES)) {
            return HISTORY_FETCH;
        } else {
            give(history, out);
            return HISTORY_READING;
        }
    }
    switch (history->phase) {
    case HISTORY_PHASE_DONE:
        return HISTORY_END;
    case HISTORY_PHASE_FAILED:
        return HISTORY_FAILED;
    case HISTORY_PHASE_BEGIN:
    case HISTORY_PHASE_NAMES:
    case HISTORY_PHASE_ROWS:
        break;
    }
    return HISTORY_FETCH;
}

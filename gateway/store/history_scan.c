/* One slice of a scan: names, then rows, out of the database, for HISTORY_SLICE_MS at most.
 *
 * Store thread, between two commits, or a program that has the file to itself. No statement stays
 * open behind a slice, so that nothing keeps a commit or a checkpoint waiting; the next slice goes
 * on behind the last id, whatever was trimmed meanwhile. The first slice notes what is closed and
 * copies what is open in one moment: a segment that closes later is not met twice. A row whose CRC
 * is wrong is counted and left out. Never writes. */
#include "gateway/store/history_parts.h"
#include "gateway/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/pattern.h"
#include "gateway/store/database.h"

enum {
    SLICE_BYTES = 256 * 1024,
    SPAN_LEAST_MS = 60000, /* rows may overlap by that before any was seen */
    LEAP_MAX = 1 << 20,
};

static const char unreadable[] = "the store cannot be read";
static const char no_memory[] = "out of memory";

/* ---- the first slice ---- */

static bool add_epoch(struct history *history, uint32_t ordinal, uint64_t number)
{
    struct history_epoch *epochs =
        realloc(history->epochs, (history->epoch_count + 1) * sizeof *epochs);
    if (!epochs)
        return history_fail(history, no_memory);
    history->epochs = epochs;
    epochs[history->epoch_count++] = (struct history_epoch){.ordinal = ordinal, .number = number};
    return true;
}

static bool read_epochs(struct store *store, struct history *history)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_EPOCH_LIST);
    bool ok = true;
    int rc = SQLITE_DONE;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW)
        ok = add_epoch(history, (uint32_t)sqlite3_column_int64(s, 0),
                       (uint64_t)sqlite3_column_int64(s, 1));
    sqlite3_reset(s);
    return ok && (rc == SQLITE_DONE || history_fail(history, unreadable));
}

/* Where the end of a stream cannot be read: what the stream says of itself. */
static int64_t told_end(struct store *store, uint32_t ordinal, int sector)
{
    int64_t last_seq = 0;
    sqlite3_stmt *s = database_statement(store, STATEMENT_STREAM_LIST);
    while (sqlite3_step(s) == SQLITE_ROW) {
        if (sqlite3_column_int64(s, 0) == ordinal && sqlite3_column_int64(s, 1) == sector)
            last_seq = sqlite3_column_int64(s, 2);
    }
    sqlite3_reset(s);
    return SEGMENT_ID(ordinal, sector, last_seq);
}

static bool note_ends(struct store *store, struct history *history, struct history_epoch *epoch)
{
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        sqlite3_stmt *s = database_statement(store, STATEMENT_HISTORY_LAST);
        sqlite3_bind_int64(s, 1, SEGMENT_ID(epoch->ordinal, sector, 0));
        sqlite3_bind_int64(s, 2, SEGMENT_ID(epoch->ordinal, sector + 1, 0) - 1);
        int rc = sqlite3_step(s);
        epoch->last_id[sector] = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
        sqlite3_reset(s);
        if ((rc & 0xff) == SQLITE_CORRUPT)
            epoch->last_id[sector] = told_end(store, epoch->ordinal, sector);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE && (rc & 0xff) != SQLITE_CORRUPT)
            return history_fail(history, unreadable);
    }
    return true;
}

/* An open body as its chunks come. */
struct gathering {
    enum sector sector;
    int64_t base_ms, last_ms;
    uint32_t crc;
    uint8_t *bytes;
    size_t length, capacity;
};

static bool gather(struct gathering *body, const void *bytes, size_t length)
{
    if (body->length + length > body->capacity) {
        size_t capacity = 2 * (body->length + length);
        uint8_t *grown = realloc(body->bytes, capacity);
        if (!grown)
            return false;
        body->bytes = grown;
        body->capacity = capacity;
    }
    if (length)
        memcpy(body->bytes + body->length, bytes, length);
    body->length += length;
    return true;
}

/* A whole body is kept when it is sound and of our time. */
static bool keep_open(struct history *history, const struct gathering *body)
{
    if (!body->length || body->last_ms < history->since_ms || body->base_ms >= history->until_ms)
        return true;
    uint64_t number = history->epochs[history->epoch_count - 1].number;
    if (database_crc(number, body->sector, 0, body->bytes, body->length) != body->crc) {
        history->corrupt++;
        return true;
    }
    struct history_row *row = history_row_new(body->base_ms, body->bytes, body->length);
    if (!row)
        return history_fail(history, no_memory);
    row->next = history->open;
    history->open = row;
    return true;
}

static bool read_open(struct store *store, struct history *history)
{
    struct gathering body = {.length = 0};
    sqlite3_stmt *s = database_statement(store, STATEMENT_OPEN_LIST);
    bool ok = true;
    int rc = SQLITE_DONE;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (sqlite3_column_int64(s, 0) % OPEN_CHUNKS == 0) {
            ok = keep_open(history, &body);
            body.length = 0;
            body.sector = (enum sector)sqlite3_column_int64(s, 1);
            body.base_ms = sqlite3_column_int64(s, 2);
            body.last_ms = sqlite3_column_int64(s, 3);
            body.crc = (uint32_t)sqlite3_column_int64(s, 5);
        }
        if (ok && !gather(&body, sqlite3_column_blob(s, 6), (size_t)sqlite3_column_bytes(s, 6)))
            ok = history_fail(history, no_memory);
    }
    sqlite3_reset(s);
    ok = ok && keep_open(history, &body);
    free(body.bytes);
    if (ok && (rc & 0xff) == SQLITE_CORRUPT)
        history->corrupt++;
    return ok && (rc == SQLITE_DONE || (rc & 0xff) == SQLITE_CORRUPT ||
                  history_fail(history, unreadable));
}

static bool begin(struct store *store, struct history *history)
{
    if (!read_epochs(store, history))
        return false;
    for (size_t e = 0; e < history->epoch_count; e++) {
        if (!note_ends(store, history, &history->epochs[e]))
            return false;
    }
    if (history->epoch_count && !read_open(store, history))
        return false;
    for (size_t e = 0; e < store->epoch_count; e++)
        history->incomplete |= store->epochs[e].elsewhere;
    history->incomplete |= store->in_memory && !store->known;
    history->named_device = -1;
    history->phase = history->epoch_count ? HISTORY_PHASE_NAMES : HISTORY_PHASE_DONE;
    return true;
}

/* ---- names ---- */

static bool copy_texts(struct history_name *name, const char *const texts[3])
{
    size_t length = 0;
    for (int i = 0; i < 3; i++)
        length += strlen(texts[i]) + 1;
    char *at = malloc(length);
    for (int i = 0; at && i < 3; i++) {
        name->texts[i] = at;
        at = stpcpy(at, texts[i]) + 1;
    }
    return at != NULL;
}

static bool is_wanted(const struct history *history, const char *device, const char *point)
{
    for (size_t i = 0; i < history->pattern_count; i++) {
        if (pattern_fits(history->patterns[i], device, point))
            return true;
    }
    return false;
}

static const char *text_of(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    return text ? (const char *)text : "";
}

static bool take_name(struct history *history, sqlite3_stmt *s)
{
    const char *device = text_of(s, 2), *point = text_of(s, 4), *meaning = text_of(s, 5);
    int64_t sector = sqlite3_column_int64(s, 1);
    if (sector < 1 || sector >= SECTOR_COUNT || !is_wanted(history, device, point))
        return true;
    struct history_names *names = history->names;
    if (names->count == names->capacity) {
        size_t capacity = 2 * names->capacity + 16;
        struct history_name *list = realloc(names->list, capacity * sizeof *list);
        if (!list)
            return history_fail(history, no_memory);
        names->list = list;
        names->capacity = capacity;
    }
    const char *slash = strchr(meaning, '/'); /* quantity/unit */
    struct history_name *name = &names->list[names->count];
    *name = (struct history_name){.device = (uint32_t)sqlite3_column_int64(s, 0),
                                  .point = (uint32_t)sqlite3_column_int64(s, 3)};
    if (!copy_texts(name, (const char *[3]){device, point, slash ? slash + 1 : ""}))
        return history_fail(history, no_memory);
    names->count++;
    history->points++;
    history->wanted[sector] = true;
    return true;
}

static void begin_rows(struct history *history)
{
    const struct history_epoch *epoch = &history->epochs[history->epoch];
    history->phase = HISTORY_PHASE_ROWS;
    history->frontier_ms = INT64_MIN;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        history->streams[sector] = (struct history_stream){
            .next_id = SEGMENT_ID(epoch->ordinal, sector, 0),
            .last_id = history->wanted[sector] ? epoch->last_id[sector] : 0,
            .frontier_ms = INT64_MIN,
            .leap = 1,
        };
    }
    while (history->epoch == history->epoch_count - 1 && history->open) {
        struct history_row *row = history->open;
        history->open = row->next;
        history_merge_add(history, row);
    }
}

/* Wanted points of the epoch at hand. A slice ends between two devices. */
static bool read_names(struct store *store, struct history *history, mono_time until)
{
    sqlite3_stmt *s = database_statement(store, STATEMENT_HISTORY_POINTS);
    sqlite3_bind_int64(s, 1, history->epochs[history->epoch].ordinal);
    sqlite3_bind_int64(s, 2, history->named_device);
    if (history->named_device < 0)
        memset(history->wanted, 0, sizeof history->wanted);
    bool ok = true, late = false;
    if (!history->names) {
        history->names = calloc(1, sizeof *history->names);
        if (!history->names)
            return history_fail(history, no_memory);
        history->names->holders = 1;
    }
    int rc = SQLITE_DONE;
    int64_t device = history->named_device;
    while (ok && !late && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        late = sqlite3_column_int64(s, 0) != device && device != history->named_device &&
               clock_mono().ns >= until.ns;
        if (late)
            history->named_device = device;
        else
            ok = take_name(history, s);
        device = sqlite3_column_int64(s, 0);
    }
    sqlite3_reset(s);
    if (!ok || late)
        return ok;
    if (rc != SQLITE_DONE)
        return history_fail(history, unreadable);
    if (history->names->count || history->epoch + 1 == history->epoch_count)
        begin_rows(history);
    else
        history_merge_next_epoch(history);
    return true;
}

/* ---- rows ---- */

static bool has_ended(const struct history_stream *stream)
{
    return stream->next_id > stream->last_id;
}

/* The stream whose rows to come begin earliest, and where the next after it stands. */
static int lowest(const struct history *history, int64_t *second_ms)
{
    int best = 0;
    *second_ms = INT64_MAX;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        const struct history_stream *stream = &history->streams[sector];
        if (has_ended(stream))
            continue;
        if (best && history->streams[best].frontier_ms <= stream->frontier_ms) {
            if (stream->frontier_ms < *second_ms)
                *second_ms = stream->frontier_ms;
            continue;
        }
        if (best)
            *second_ms = history->streams[best].frontier_ms;
        best = sector;
    }
    return best;
}

static bool load_row(struct history *history, sqlite3_stmt *s, int sector)
{
    const uint8_t *row = sqlite3_column_blob(s, 4), *body;
    size_t length = (size_t)sqlite3_column_bytes(s, 4);
    uint64_t number = history->epochs[history->epoch].number;
    uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0) & 0xffffffffff;
    if (!row) /* not of our time */
        return true;
    if (database_crc(number, (enum sector)sector, seq, row, length) !=
            (uint32_t)sqlite3_column_int64(s, 3) ||
        !(body = segment_row_body(row, &length))) {
        history->corrupt++;
        return true;
    }
    struct history_row *loaded = history_row_new(sqlite3_column_int64(s, 1), body, length);
    if (!loaded)
        return history_fail(history, no_memory);
    history_merge_add(history, loaded);
    return true;
}

static bool walk_row(struct history *history, struct history_stream *stream, sqlite3_stmt *s,
                     int sector)
{
    int64_t base_ms = sqlite3_column_int64(s, 1), last_ms = sqlite3_column_int64(s, 2);
    stream->next_id = sqlite3_column_int64(s, 0) + 1;
    stream->leap = 1;
    if (last_ms - base_ms > history->span_ms)
        history->span_ms = last_ms - base_ms;
    stream->frontier_ms = last_ms - history->span_ms;
    return load_row(history, s, sector);
}

/* Behind a damaged page, further each time: what lies on it cannot be counted. */
static void leap(struct history *history, struct history_stream *stream)
{
    history->corrupt += stream->leap == 1; /* a page once */
    stream->next_id += stream->leap;
    if (stream->leap < LEAP_MAX)
        stream->leap *= 2;
}

static bool is_full(const struct history *history, size_t before, mono_time until)
{
    return history->bytes >= HISTORY_BYTES || history->bytes >= before + SLICE_BYTES ||
           clock_mono().ns >= until.ns;
}

/* Rows of one stream until another lags behind it or the slice is full. */
static bool walk(struct store *store, struct history *history, int sector, int64_t second_ms,
                 size_t before, mono_time until)
{
    struct history_stream *stream = &history->streams[sector];
    sqlite3_stmt *s = database_statement(store, STATEMENT_HISTORY_READ);
    sqlite3_bind_int64(s, 1, stream->next_id);
    sqlite3_bind_int64(s, 2, stream->last_id);
    sqlite3_bind_int64(s, 3, history->since_ms);
    sqlite3_bind_int64(s, 4, history->until_ms);
    bool ok = true;
    int rc;
    do {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
            ok = walk_row(history, stream, s, sector);
    } while (ok && rc == SQLITE_ROW && stream->frontier_ms <= second_ms &&
             !is_full(history, before, until));
    sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        stream->next_id = stream->last_id + 1;
    else if ((rc & 0xff) == SQLITE_CORRUPT)
        leap(history, stream);
    else if (rc != SQLITE_ROW)
        ok = history_fail(history, unreadable);
    return ok;
}

static bool read_rows(struct store *store, struct history *history, mono_time until)
{
    size_t before = history->bytes;
    int64_t second_ms;
    int sector;
    bool ok = true;
    do {
        sector = lowest(history, &second_ms);
        ok = !sector || walk(store, history, sector, second_ms, before, until);
    } while (ok && sector && !is_full(history, before, until));
    sector = lowest(history, &second_ms);
    history->frontier_ms = sector ? history->streams[sector].frontier_ms : INT64_MAX;
    return ok;
}

/* The epochs of another database than the scan began in are none of ours. An old epoch may be
 * trimmed away under the scan; the one that was in force then stays. */
static bool is_same_store(struct store *store, struct history *history)
{
    const struct history_epoch *epoch = &history->epochs[history->epoch_count - 1];
    sqlite3_stmt *s = database_statement(store, STATEMENT_HISTORY_EPOCH);
    sqlite3_bind_int64(s, 1, epoch->ordinal);
    bool same =
        sqlite3_step(s) == SQLITE_ROW && (uint64_t)sqlite3_column_int64(s, 0) == epoch->number;
    sqlite3_reset(s);
    return same || history_fail(history, "the store was replaced meanwhile");
}

void history_fetch(struct store *store, struct history *history)
{
    mono_time until = clock_after_ms(clock_mono(), HISTORY_SLICE_MS);
    bool ok = true;
    if (history->span_ms == 0)
        history->span_ms = SPAN_LEAST_MS;
    if (history->phase == HISTORY_PHASE_BEGIN)
        ok = begin(store, history);
    do {
        if (ok && history->phase < HISTORY_PHASE_DONE)
            ok = is_same_store(store, history);
        if (ok && history->phase == HISTORY_PHASE_NAMES)
            ok = read_names(store, history, until);
    } while (ok && history->phase == HISTORY_PHASE_NAMES && clock_mono().ns < until.ns);
    if (ok && history->phase == HISTORY_PHASE_ROWS)
        (void)read_rows(store, history, until);
}

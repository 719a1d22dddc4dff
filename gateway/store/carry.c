/* Rows of one epoch from one database into another: between memory and disk, or between two boards'
 * epochs in one file. Store thread, or main() before it starts; always inside the caller's
 * transaction. Every row replaces its like, so that a transaction whose outcome is in doubt can be
 * done again. Uplinks are known by name, because the row numbers differ from file to file.
 * Never decides what is carried, and changes nothing where it comes from. */
#include "gateway/store/internal.h"

#include "gateway/store/carry.h"
#include "gateway/store/database.h"

enum { ID_MAX = 1000000 };

/* Runs `select` there and `insert` here, with the columns of the one as the parameters of the
 * other. `lenient`: what cannot be read is left out. */
static bool copy_rows(struct store *store, sqlite3 *from, bool lenient, char *select, char *insert)
{
    sqlite3_stmt *read = NULL, *write = NULL;
    bool ok =
        select && insert && sqlite3_prepare_v2(store->db, insert, -1, &write, NULL) == SQLITE_OK;
    bool readable = ok && sqlite3_prepare_v2(from, select, -1, &read, NULL) == SQLITE_OK;
    store->copied = 0;
    while (ok && readable && sqlite3_step(read) == SQLITE_ROW) {
        store->copied++;
        for (int i = 0; i < sqlite3_column_count(read); i++)
            sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i));
        ok = sqlite3_step(write) == SQLITE_DONE;
        sqlite3_reset(write);
    }
    readable = sqlite3_finalize(read) == SQLITE_OK && readable;
    ok = ok && (readable || lenient);
    ok = sqlite3_finalize(write) == SQLITE_OK && ok;
    sqlite3_free(select);
    sqlite3_free(insert);
    return ok;
}

static bool copy(struct store *store, sqlite3 *from, char *select, char *insert)
{
    return copy_rows(store, from, false, select, insert);
}

static sqlite3 *source(const struct store *store, const struct carry *carry)
{
    return carry->from ? carry->from->db : store->db;
}

/* ids are counted up from 1, so that a larger one is damage */
static bool carry_ids(struct store *store, const struct carry *carry, bool lenient)
{
    return copy_rows(store, source(store, carry), lenient,
                     sqlite3_mprintf("SELECT id,sector,name,retired,body FROM device WHERE"
                                     " ordinal=%u AND id BETWEEN 1 AND %d",
                                     carry->ordinal, ID_MAX),
                     sqlite3_mprintf("INSERT OR IGNORE INTO device VALUES(%u,?1,?2,?3,?4,?5)",
                                     carry->to)) &&
           copy_rows(store, source(store, carry), lenient,
                     sqlite3_mprintf("SELECT device,id,name,meaning,retired,body FROM point WHERE"
                                     " ordinal=%u AND id BETWEEN 1 AND %d",
                                     carry->ordinal, ID_MAX),
                     sqlite3_mprintf("INSERT OR IGNORE INTO point VALUES(%u,?1,?2,?3,?4,?5,?6)",
                                     carry->to));
}

static bool carry_gaps(struct store *store, const struct carry *carry, bool lenient)
{
    return copy_rows(
        store, carry->from->db, lenient,
        sqlite3_mprintf("SELECT name,sector,first_seq,last_seq,from_ms,to_ms,readings,reason"
                        " FROM gap JOIN uplink ON uplink.id=gap.uplink WHERE ordinal=%u AND"
                        " sector BETWEEN 1 AND %d AND reason BETWEEN 1 AND %d ORDER BY gap.id",
                        carry->ordinal, SECTOR_COUNT - 1, GAP_REASON_DISK),
        sqlite3_mprintf("INSERT OR REPLACE INTO gap(uplink,ordinal,sector,first_seq,last_seq,"
                        "from_ms,to_ms,readings,reason) SELECT id,%u,?2,?3,?4,?5,?6,?7,?8 FROM"
                        " uplink WHERE name=?1",
                        carry->to));
}

bool carry_identity(struct store *store, const struct carry *carry)
{
    return carry_ids(store, carry, false);
}

bool carry_epoch(struct store *store, const struct carry *carry)
{
    sqlite3 *from = carry->from->db;
    int64_t shift = SEGMENT_ID(carry->to, 0, 0) - SEGMENT_ID(carry->ordinal, 0, 0);
    return carry_identity(store, carry) &&
           copy(store, from,
                sqlite3_mprintf("SELECT sector,last_seq,last_ms FROM stream WHERE ordinal=%u",
                                carry->ordinal),
                sqlite3_mprintf("INSERT OR REPLACE INTO stream VALUES(%u,?1,?2,?3)", carry->to)) &&
           carry_gaps(store, carry, false) &&
           copy(store, from, sqlite3_mprintf("SELECT * FROM open"),
                sqlite3_mprintf("INSERT OR REPLACE INTO open VALUES(?1,?2,?3,?4,?5,?6,?7)")) &&
           /* the last one: store->copied tells of it */
           copy(store, from,
                sqlite3_mprintf("SELECT id+%lld,base_ms,last_ms,readings,crc,row FROM segment"
                                " WHERE id BETWEEN %lld AND %lld",
                                (long long)shift, (long long)SEGMENT_ID(carry->ordinal, 0, 0),
                                (long long)SEGMENT_ID(carry->ordinal + 1, 0, 0) - 1),
                sqlite3_mprintf("INSERT OR REPLACE INTO segment VALUES(?1,?2,?3,?4,?5,?6)"));
}

bool carry_readable(struct store *store, const struct carry *carry)
{
    return carry_ids(store, carry, true) && carry_gaps(store, carry, true);
}

bool carry_alarms(struct store *store, struct connection *from, bool damaged)
{
    static const char *const tables[][2] = {
        {"SELECT * FROM alarm",
         "INSERT OR REPLACE INTO alarm VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"},
        {"SELECT * FROM alarm_open", "INSERT OR REPLACE INTO alarm_open VALUES(?1,?2)"},
        {"SELECT name,rank,alarm_owed.id,step FROM alarm_owed"
         " JOIN uplink ON uplink.id=alarm_owed.uplink",
         "INSERT OR IGNORE INTO alarm_owed SELECT id,?2,?3,?4 FROM uplink WHERE name=?1"},
        {"SELECT * FROM memory", "INSERT OR REPLACE INTO memory VALUES(?1,?2,?3)"},
    };
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof tables / sizeof *tables; i++)
        ok = copy_rows(store, from->db, damaged, sqlite3_mprintf("%s", tables[i][0]),
                       sqlite3_mprintf("%s", tables[i][1]));
    /* what ended while the other one was out of reach */
    return ok && database_execute(store,
                                  "DELETE FROM alarm_open WHERE id IN"
                                  " (SELECT id FROM alarm WHERE status=%d)",
                                  ALARM_STATUS_CLEARED);
}

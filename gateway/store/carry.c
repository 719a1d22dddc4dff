/* Rows of one epoch from one database into another: between memory and disk, or between two boards'
 * epochs in one file. Store thread, or main() before it starts; always inside the caller's
 * transaction. Every row replaces its like, so that a transaction whose outcome is in doubt can be
 * done again. Uplinks are known by name, because the row numbers differ from file to file.
 * Never decides what is carried, and changes nothing where it comes from. */
#include "gateway/store/internal.h"

/* Runs `select` there and `insert` here, with the columns of the one as the parameters of the
 * other. */
static bool copy(struct store *store, sqlite3 *from, char *select, char *insert)
{
    sqlite3_stmt *read = NULL, *write = NULL;
    bool ok = select && insert && sqlite3_prepare_v2(from, select, -1, &read, NULL) == SQLITE_OK &&
              sqlite3_prepare_v2(store->db, insert, -1, &write, NULL) == SQLITE_OK;
    while (ok && sqlite3_step(read) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(read); i++)
            sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i));
        ok = sqlite3_step(write) == SQLITE_DONE;
        sqlite3_reset(write);
    }
    ok = sqlite3_finalize(read) == SQLITE_OK && ok;
    ok = sqlite3_finalize(write) == SQLITE_OK && ok;
    sqlite3_free(select);
    sqlite3_free(insert);
    return ok;
}

static sqlite3 *source(const struct store *store, const struct carry *carry)
{
    return carry->from ? carry->from->db : store->db;
}

bool carry_identity(struct store *store, const struct carry *carry)
{
    sqlite3 *from = source(store, carry);
    return copy(store, from,
                sqlite3_mprintf("SELECT id,sector,name,retired,body FROM device WHERE ordinal=%u",
                                carry->ordinal),
                sqlite3_mprintf("INSERT OR IGNORE INTO device VALUES(%u,?1,?2,?3,?4,?5)",
                                carry->to)) &&
           copy(store, from,
                sqlite3_mprintf("SELECT device,id,name,meaning,retired,body FROM point"
                                " WHERE ordinal=%u",
                                carry->ordinal),
                sqlite3_mprintf("INSERT OR IGNORE INTO point VALUES(%u,?1,?2,?3,?4,?5,?6)",
                                carry->to));
}

bool carry_epoch(struct store *store, const struct carry *carry)
{
    sqlite3 *from = carry->from->db;
    int64_t shift = SEGMENT_ID(carry->to, 0, 0) - SEGMENT_ID(carry->ordinal, 0, 0);
    return carry_identity(store, carry) &&
           copy(store, from,
                sqlite3_mprintf("SELECT id+%lld,base_ms,last_ms,readings,crc,row FROM segment"
                                " WHERE id BETWEEN %lld AND %lld",
                                (long long)shift, (long long)SEGMENT_ID(carry->ordinal, 0, 0),
                                (long long)SEGMENT_ID(carry->ordinal + 1, 0, 0) - 1),
                sqlite3_mprintf("INSERT OR REPLACE INTO segment VALUES(?1,?2,?3,?4,?5,?6)")) &&
           copy(store, from,
                sqlite3_mprintf("SELECT sector,last_seq,last_ms FROM stream WHERE ordinal=%u",
                                carry->ordinal),
                sqlite3_mprintf("INSERT OR REPLACE INTO stream VALUES(%u,?1,?2,?3)", carry->to)) &&
           copy(
               store, from,
               sqlite3_mprintf("SELECT name,sector,first_seq,last_seq,from_ms,to_ms,readings,reason"
                               " FROM gap JOIN uplink ON uplink.id=gap.uplink WHERE ordinal=%u"
                               " ORDER BY gap.id",
                               carry->ordinal),
               sqlite3_mprintf(
                   "INSERT OR REPLACE INTO gap(uplink,ordinal,sector,first_seq,last_seq,from_ms,"
                   "to_ms,readings,reason) SELECT id,%u,?2,?3,?4,?5,?6,?7,?8 FROM uplink"
                   " WHERE name=?1",
                   carry->to)) &&
           copy(store, from, sqlite3_mprintf("SELECT * FROM open"),
                sqlite3_mprintf("INSERT OR REPLACE INTO open VALUES(?1,?2,?3,?4,?5,?6,?7)"));
}

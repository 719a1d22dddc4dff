/* What every store of the unit tests lies in and begins with: a folder of its own under /tmp, the
 * settings of a gateway with one uplink, and what comes out of it as a message. */
#ifndef LIFELINE_STORE_FOLDER_H
#define LIFELINE_STORE_FOLDER_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/store/store.h"
#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/message.h"

enum { LENT = 8 };

enum { FOLDER_SIZE = 64, PATH_SIZE = 96 };

static inline bool folder_make(char folder[FOLDER_SIZE], char path[PATH_SIZE],
                               struct settings *settings, struct settings_uplink *uplink)
{
    snprintf(folder, FOLDER_SIZE, "/tmp/lifeline-store-XXXXXX");
    if (!mkdtemp(folder))
        return false;
    snprintf(path, PATH_SIZE, "%s/store.db", folder);
    uplink->name = (char *)"city";
    uplink->max_payload = 1 << 17;
    settings->gateway.id = (char *)"gw-1";
    settings->gateway.region = (char *)"140502";
    settings->store.path = path;
    settings->store.segment_ms = 60000;
    settings->store.max_size = 64 << 20;
    settings->uplinks = uplink;
    settings->uplink_count = 1;
    return true;
}

static inline void folder_remove(const char *folder)
{
    DIR *all = opendir(folder);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (all)
        closedir(all);
    rmdir(folder);
}

static inline Lifeline__V1__DataBatch *decode(const struct parcel *parcel)
{
    ProtobufCMessage *message = message_unpack(&lifeline__v1__data_batch__descriptor, parcel->bytes,
                                               parcel->length, parcel->length);
    assert_non_null(message);
    return (Lifeline__V1__DataBatch *)message;
}

#endif

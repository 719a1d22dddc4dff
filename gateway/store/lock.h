/* store.lock beside store.db: one process at a time has the store. Who has it is said in `why`. */
#ifndef LIFELINE_LOCK_H
#define LIFELINE_LOCK_H

#include <stddef.h>

enum lock_result {
    LOCK_TAKEN,
    LOCK_BY_READER, /* a lifelinectl reads */
    LOCK_BY_OTHER,
    LOCK_FAILED,
};

enum lock_result lock_take(const char *path, int *fd, char *why, size_t why_size)
    __attribute__((warn_unused_result));

#endif

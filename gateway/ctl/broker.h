/* A subscriber: whatever comes from a broker under some topics, for as long as somebody looks. */
#ifndef LIFELINE_BROKER_H
#define LIFELINE_BROKER_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/ctl/ctl.h"

enum { BROKER_TOPICS_MAX = 4 };

struct broker_handlers {
    void (*connected)(void *context); /* subscribed; again after every break */
    void (*message)(void *context, const char *topic, const uint8_t *bytes, size_t length);
};

/* Connects, and again whenever it breaks, until Ctrl-C (CTL_FINE). Says on stderr why it broke and
 * what the broker does not let us see. CTL_USAGE: the URL or a file is wrong; CTL_FINDING: the
 * broker does not want us, or to show us anything. */
enum ctl_exit broker_follow(const struct ctl_broker *broker, const char *const *topics,
                            size_t count, const struct broker_handlers *handlers, void *context)
    __attribute__((warn_unused_result));

#endif

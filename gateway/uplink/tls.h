/* TLS towards one broker: whom to trust, who we are, and why it failed, in words. Made anew for
 * each connection, so that files which were replaced count from the next connect on. */
#ifndef LIFELINE_TLS_H
#define LIFELINE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/settings.h"

struct tls;

/* Reads the files of the uplink. NULL with the reason in why, which names the file. */
struct tls *tls_new(const struct settings_uplink *uplink, const char *host, char *why,
                    size_t why_size);
void tls_free(struct tls *tls);

/* The SSL_CTX, for the library. */
void *tls_context(struct tls *tls);

/* What was wrong with the broker's certificate, or what it says of ours; "" when nothing was. */
const char *tls_complaint(const struct tls *tls);

#endif

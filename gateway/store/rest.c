/* When a sector that was refused is tried again.
 * Pure; store thread. An access list is often mended, and a quota passes, without a new connection:
 * so one parcel is sent after a pause, and the pause doubles while that is refused too. Parcels
 * that were in flight with the refused one decide nothing. Never forgets a refusal by itself: a
 * fresh connection does (backlog_renew), unless refusals end connections. */
#include "gateway/store/rest.h"

enum { PAUSE_MS = 10000, PAUSE_MAX_MS = 600000 };

bool rest_is_over(const struct rest *rest, mono_time now)
{
    return !rest->on || (!rest->probing && clock_ms_between(rest->until, now) >= 0);
}

void rest_refused(struct rest *rest, mono_time now)
{
    if (rest->on && !rest->probing)
        return;
    rest->pause_ms = rest->on ? rest->pause_ms * 2 : PAUSE_MS;
    if (rest->pause_ms > PAUSE_MAX_MS)
        rest->pause_ms = PAUSE_MAX_MS;
    rest->until = clock_after_ms(now, rest->pause_ms);
    rest->on = true;
    rest->probing = false;
}

void rest_sent(struct rest *rest)
{
    rest->probing = rest->on;
}

void rest_unsent(struct rest *rest)
{
    rest->probing = false;
}

bool rest_accepted(struct rest *rest)
{
    bool back = rest->on && rest->probing;
    if (back)
        *rest = (struct rest){0};
    return back;
}

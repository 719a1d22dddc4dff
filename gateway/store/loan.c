/* The way of a scan between who asked and the store thread.
 *
 * loan_serve() runs in the store thread, the rest wherever the asker lives; a loan itself is looked
 * at by one side at a time, only what stands in struct loan lies under the store's mutex. One slice
 * a turn, those that wait longest first, so that no scan holds up a commit. Never looks at what is
 * lent. */
#include "gateway/store/loan.h"

#include "gateway/store/internal.h"

void loan_lend(struct store *store, struct loan *loan, void (*wake)(void *), void *context)
{
    pthread_mutex_lock(&store->mutex);
    struct loan **at = &store->lent;
    while (*at)
        at = &(*at)->next;
    *at = loan;
    loan->next = NULL;
    loan->wake = wake;
    loan->context = context;
    loan->lent = true;
    store->attention = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

bool loan_back(struct store *store, const struct loan *loan)
{
    pthread_mutex_lock(&store->mutex);
    bool back = !loan->lent;
    pthread_mutex_unlock(&store->mutex);
    return back;
}

void loan_abandon(struct store *store, struct loan *loan)
{
    pthread_mutex_lock(&store->mutex);
    struct loan **at = &store->lent;
    while (*at && *at != loan)
        at = &(*at)->next;
    bool waits = *at != NULL;
    if (waits)
        *at = loan->next;
    bool in_hand = loan->lent && !waits;
    loan->abandoned = in_hand;
    pthread_mutex_unlock(&store->mutex);
    if (!in_hand)
        loan->free(loan);
}

void loan_serve(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct loan *loan = store->lent;
    if (loan)
        store->lent = loan->next;
    pthread_mutex_unlock(&store->mutex);
    if (!loan)
        return;
    loan->fetch(store, loan);
    pthread_mutex_lock(&store->mutex);
    store->attention = store->attention || store->lent;
    loan->lent = false;
    bool abandoned = loan->abandoned;
    if (!abandoned)
        loan->wake(loan->context);
    pthread_mutex_unlock(&store->mutex);
    if (abandoned)
        loan->free(loan);
}

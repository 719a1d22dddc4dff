/* Something that the store thread fills slice by slice, between two commits, for whoever asked. It
 * belongs to one side at a time:
 *
 *     api ── loan_lend ──> [ store thread: fetch ] ── wake ──> api: loan_back, reads it, lends
 * again
 */
#ifndef LIFELINE_LOAN_H
#define LIFELINE_LOAN_H

#include <stdbool.h>

struct store;

/* First in what is lent; zeroed but for the first two. */
struct loan {
    void (*fetch)(struct store *store, struct loan *loan); /* one slice; store thread */
    void (*free)(struct loan *loan);
    /* loan.c's, under the store's mutex */
    struct loan *next;
    void (*wake)(void *);
    void *context;
    bool lent, abandoned;
};

/* Until loan_back() says true, or `wake` was called, it is the store's. wake runs in the store
 * thread, under its mutex. */
void loan_lend(struct store *store, struct loan *loan, void (*wake)(void *), void *context);
bool loan_back(struct store *store, const struct loan *loan);

/* Frees it, whoever has it; wake is not called any more. */
void loan_abandon(struct store *store, struct loan *loan);

#endif

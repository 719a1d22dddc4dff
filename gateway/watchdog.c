/* The pulses of all threads, and the look that the main thread takes at them.
 *
 * Owns a list of pulses under a mutex; a pulse lies in its thread's own memory and leaves the list
 * when the thread ends. The sign of life itself takes no lock.
 * Never ends anybody: it stops feeding, and whoever supervises the process ends it. */
#include "gateway/watchdog.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "gateway/log.h"
#include "gateway/notify.h"

enum { LOOK_MS = 1000, LOOKS_A_MEAL = 3 /* within the supervisor's patience */ };

struct pulse {
    struct pulse *next;
    char name[48];
    uint32_t limit_ms; /* 0: the thread is not watched */
    atomic_uint due;   /* in `now` */
    bool hangs;
};

static _Thread_local struct pulse own;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pulse *pulses;
static atomic_uint now; /* milliseconds of our own looks; wraps, so only differences count */
static uint32_t hungry_ms;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_end;
static bool has_key; /* these two are written once, under pthread_once */

static void leave(void *pulse)
{
    pthread_mutex_lock(&mutex);
    for (struct pulse **at = &pulses; *at; at = &(*at)->next) {
        if (*at == pulse) {
            *at = (*at)->next;
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
}

static void make_key(void)
{
    has_key = pthread_key_create(&at_end, leave) == 0;
    if (!has_key)
        log_warning("watchdog: no thread is watched");
}

void watchdog_join(uint32_t limit_ms, const char *name, ...)
{
    va_list arguments;
    pthread_once(&once, make_key);
    if (own.limit_ms || !has_key || pthread_setspecific(at_end, &own) != 0)
        return;
    va_start(arguments, name);
    vsnprintf(own.name, sizeof own.name, name, arguments);
    va_end(arguments);
    own.limit_ms = limit_ms;
    watchdog_beat();
    pthread_mutex_lock(&mutex);
    own.next = pulses;
    pulses = &own;
    pthread_mutex_unlock(&mutex);
}

void watchdog_beat(void)
{
    watchdog_allow(own.limit_ms);
}

void watchdog_allow(uint32_t ms)
{
    atomic_store_explicit(&own.due, atomic_load_explicit(&now, memory_order_relaxed) + ms,
                          memory_order_relaxed);
}

uint32_t watchdog_period_ms(void)
{
    uint32_t meal_ms = notify_watchdog_ms() / LOOKS_A_MEAL;
    return meal_ms && meal_ms < LOOK_MS ? meal_ms : LOOK_MS;
}

static bool is_overdue(const struct pulse *pulse, uint32_t at)
{
    return (int32_t)(at - atomic_load_explicit(&pulse->due, memory_order_relaxed)) > 0;
}

/* Once per change of its state. */
static void judge(struct pulse *pulse, uint32_t at)
{
    bool hangs = is_overdue(pulse, at);
    if (hangs == pulse->hangs)
        return;
    pulse->hangs = hangs;
    if (hangs)
        log_error("%s hangs; the supervisor is told nothing more until it runs", pulse->name);
    else
        log_notice("%s runs again", pulse->name);
    notify_send("STATUS=%s %s", pulse->name, hangs ? "hangs" : "runs again");
}

void watchdog_look(void)
{
    uint32_t period_ms = watchdog_period_ms();
    uint32_t at = atomic_fetch_add(&now, period_ms) + period_ms;
    bool well = true;
    pthread_mutex_lock(&mutex);
    for (struct pulse *pulse = pulses; pulse; pulse = pulse->next) {
        judge(pulse, at);
        well &= !pulse->hangs;
    }
    pthread_mutex_unlock(&mutex);
    hungry_ms += period_ms;
    if (!well || hungry_ms < notify_watchdog_ms() / LOOKS_A_MEAL)
        return;
    hungry_ms = 0;
    if (notify_watchdog_ms())
        notify_send("WATCHDOG=1");
}

void watchdog_hanging(void (*tell)(void *context, const char *name), void *context)
{
    pthread_mutex_lock(&mutex);
    for (const struct pulse *pulse = pulses; pulse; pulse = pulse->next) {
        if (pulse->hangs)
            tell(context, pulse->name);
    }
    pthread_mutex_unlock(&mutex);
}

/* Alarms onto the connection, the most severe first, and the retained list of what is up.
 *
 * Runs in its uplink's thread. The lane keeps every event until it is settled, so what is in flight
 * here is only its number; a lost connection forgets nothing. A topic that the broker objects to
 * rests, the others go on. The list of a sector goes out when it has changed, at most once a
 * second, and whole with every connection: what a broker retains from before may be long over.
 * Never connects, never judges, never waits. */
#include "gateway/uplink/herald.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/log.h"
#include "gateway/uplink/objection.h"
#include "proto/active.h"

enum {
    REASON_FAILURE = 0x80, /* MQTT 5: from here on a refusal */
    REASON_NO_SUBSCRIBER = 0x10,
    SLOTS = 8,          /* alarms in flight */
    ROOMY = 16,         /* a broker that takes so many gives us all of them */
    HEARD_MS = 5000,    /* a suspect waits so long for the broker's first word */
    ACTIVE_MS = 1000,   /* between two lists of a sector; */
    ACTIVE_SHARE = 4,   /* on a slow link more, that they take no more than a quarter of it */
    SILENCE_MS = 60000, /* an alarm that is not acknowledged, as the courier has it */
};

/* One event on its way. */
struct flight {
    uint64_t n; /* 0 = the slot is free */
    char id[ALARM_ID_LENGTH + 1];
    uint32_t step;
    enum sector sector;
    enum lane_kind kind;
    int mid;
    uint64_t order;       /* of sending */
    int64_t overtaken_ms; /* one that was sent later was acknowledged then; 0 = none was */
};

/* What is known of a sector. */
struct subject {
    bool ours;        /* a device of ours belongs to it */
    bool stale;       /* the list is to be sent */
    uint64_t version; /* of the list that was sent last */
    int64_t sent_ms, pause_ms;
};

struct herald {
    const struct post *post;
    struct lane *lane;
    struct store *store;
    size_t place;
    struct mqtt *mqtt; /* NULL = no connection */
    bool version_5;
    size_t slots, max_packet;
    struct flight flights[SLOTS];
    uint64_t orders;
    struct subject subjects[SECTOR_COUNT];
    struct objections objections;
    bool objected; /* was this broker's last word a refusal? */
    bool heard;    /* it has acknowledged something */
    int64_t started_ms;
    int active_mid; /* of the list in flight; 0 = none */
    enum sector active_sector;
    struct lane_event event;
    uint8_t *list;
    size_t list_size;
    int64_t word_ms; /* of the latest sign of life */
    pthread_mutex_t mutex;
    struct herald_status status;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_mono());
}

struct herald *herald_new(const struct post *post, struct lane *lane, struct store *store,
                          size_t place)
{
    struct herald *herald = calloc(1, sizeof *herald);
    if (!herald)
        return NULL;
    herald->post = post;
    herald->lane = lane;
    herald->store = store;
    herald->place = place;
    herald->list_size = post->own->max_payload;
    herald->list = malloc(herald->list_size);
    pthread_mutex_init(&herald->mutex, NULL);
    if (herald->list)
        return herald;
    herald_free(herald);
    return NULL;
}

void herald_free(struct herald *herald)
{
    if (!herald)
        return;
    free(herald->list);
    pthread_mutex_destroy(&herald->mutex);
    free(herald);
}

void herald_attach(struct herald *herald, void (*wake)(void *), void *context)
{
    lane_attach(herald->lane, herald->place, herald->post->own->sectors, wake, context);
}

void herald_detach(struct herald *herald)
{
    lane_detach(herald->lane, herald->place);
}

void herald_status(struct herald *herald, struct herald_status *out)
{
    pthread_mutex_lock(&herald->mutex);
    *out = herald->status;
    pthread_mutex_unlock(&herald->mutex);
}

size_t herald_share(size_t receive_max)
{
    return receive_max >= ROOMY ? SLOTS + 1 : 1;
}

/* A sector that is new has a list at once. */
static void find_subjects(struct herald *herald)
{
    const struct settings *settings = herald->post->settings;
    bool ours[SECTOR_COUNT] = {false};
    for (size_t d = 0; d < settings->device_count; d++)
        ours[settings->devices[d].sector] = true;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        struct subject *subject = &herald->subjects[sector];
        subject->stale |= ours[sector] && !subject->ours;
        subject->ours = ours[sector];
    }
}

void herald_start(struct herald *herald, struct mqtt *mqtt, bool version_5)
{
    herald->mqtt = mqtt;
    herald->version_5 = version_5;
    herald->slots = herald_share(mqtt_receive_max(mqtt)) > 1 ? SLOTS : 1;
    herald->max_packet = mqtt_max_packet(mqtt);
    herald->heard = herald->objected = false;
    herald->started_ms = herald->word_ms = now_ms();
    memset(herald->subjects, 0, sizeof herald->subjects);
    find_subjects(herald);
}

void herald_rebind(struct herald *herald)
{
    find_subjects(herald);
}

/* ---- sending ---- */

static size_t in_flight(const struct herald *herald)
{
    size_t count = 0;
    for (size_t i = 0; i < SLOTS; i++)
        count += herald->flights[i].n != 0;
    return count;
}

static bool fits(const struct herald *herald, size_t length)
{
    return !herald->max_packet || length + post_overhead(herald->post) <= herald->max_packet;
}

static enum objection_topic topic_of(enum lane_kind kind)
{
    return kind == LANE_ALARM ? OBJECTION_ALARM : OBJECTION_REPORT;
}

static bool is_testing(const struct herald *herald)
{
    return objections_suspect(&herald->objections);
}

bool herald_goes_first(const struct herald *herald)
{
    return herald->mqtt && (is_testing(herald) || in_flight(herald) == herald->slots);
}

/* Where something is suspect it goes first. */
static bool may_go(const struct herald *herald, enum objection_topic topic, int sector)
{
    const struct objection *objection = &herald->objections.of[topic][sector];
    return !objection_rests(objection, now_ms()) && (objection->suspect || !is_testing(herald));
}

/* The next event that may go. */
static bool next(struct herald *herald, struct lane_event *out)
{
    struct lane_skip skip = {0};
    for (size_t i = 0; i < SLOTS; i++) {
        if (herald->flights[i].n)
            skip.busy[skip.count++] = herald->flights[i].n;
    }
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        skip.alarms[sector] = !may_go(herald, OBJECTION_ALARM, sector);
        skip.reports[sector] = !may_go(herald, OBJECTION_REPORT, sector);
    }
    return lane_next(herald->lane, herald->place, &skip, out);
}

static void settle(struct herald *herald, const char *id, uint32_t step, uint64_t n)
{
    /* where the store has no room for the word the event goes out once more some day */
    if (lane_settle(herald->lane, herald->place, n))
        (void)!store_alarm_settled(herald->store, herald->place, id, step);
}

static struct flight *free_slot(struct herald *herald)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (!herald->flights[i].n)
            return &herald->flights[i];
    }
    return NULL;
}

static void publish(struct herald *herald, const struct lane_event *event)
{
    enum topic_kind topic = event->kind == LANE_ALARM ? TOPIC_ALARM : TOPIC_REPORT;
    if (!fits(herald, event->length)) {
        log_error("uplink %s: an alarm of %zu bytes for %s is larger than the broker takes (%zu);"
                  " it is only stored",
                  herald->post->own->name, event->length, names_sector(event->sector),
                  herald->max_packet);
        settle(herald, event->id, event->step, event->n);
        return;
    }
    struct flight *flight = free_slot(herald);
    *flight = (struct flight){.n = event->n,
                              .step = event->step,
                              .sector = event->sector,
                              .kind = event->kind,
                              .order = ++herald->orders};
    memcpy(flight->id, event->id, sizeof flight->id);
    flight->mid = post_publish(herald->post, herald->mqtt, topic, event->sector, 0, event->bytes,
                               event->length);
}

/* ---- what is up ---- */

static void add(void *active, const uint8_t *event, size_t length)
{
    active_add(active, event, length);
}

/* A broker that takes small messages gets a short list: one that it has from before may be wrong.
 */
static size_t list_room(const struct herald *herald)
{
    size_t overhead = post_overhead(herald->post), most = herald->max_packet;
    size_t room = !most ? herald->list_size : most > overhead ? most - overhead : 0;
    return room < herald->list_size ? room : herald->list_size;
}

static size_t pack_list(struct herald *herald, enum sector sector)
{
    struct active active;
    if (!active_begin(&active, herald->list, list_room(herald), herald->post->settings->gateway.id,
                      sector, clock_wall().ms))
        return 0;
    for (uint8_t level = LEVEL_RED; level < LEVEL_COUNT; level++)
        lane_list(herald->lane, sector, level, add, &active);
    return active_end(&active);
}

static void publish_list(struct herald *herald, enum sector sector)
{
    struct subject *subject = &herald->subjects[sector];
    subject->version = lane_version(herald->lane, sector);
    subject->stale = false;
    subject->sent_ms = now_ms();
    subject->pause_ms = ACTIVE_MS;
    size_t length = pack_list(herald, sector);
    if (length)
        herald->active_mid =
            post_publish(herald->post, herald->mqtt, TOPIC_ACTIVE, sector, 0, herald->list, length);
    herald->active_sector = sector;
}

/* The last device of a sector may have left while its alarm was up: the lane knows of it. */
static bool has_list(struct herald *herald, int sector)
{
    return herald->post->own->sectors[sector] &&
           (herald->subjects[sector].ours || lane_version(herald->lane, (enum sector)sector));
}

/* The ms until the list may go; INT64_MAX: there is nothing to say. */
static int64_t list_due_ms(struct herald *herald, int sector)
{
    struct subject *subject = &herald->subjects[sector];
    const struct objection *objection = &herald->objections.of[OBJECTION_ACTIVE][sector];
    int64_t now = now_ms();
    int64_t due_ms = subject->sent_ms ? subject->sent_ms + subject->pause_ms - now : 0;
    if (!has_list(herald, sector))
        return INT64_MAX;
    subject->stale |= subject->version != lane_version(herald->lane, (enum sector)sector);
    if (!subject->stale)
        return INT64_MAX;
    if (objection_rests(objection, now) && objection->until_ms - now > due_ms)
        due_ms = objection->until_ms - now;
    return due_ms > 0 ? due_ms : 0;
}

/* One list at a time, behind the alarms. Returns the ms until the next one may go. */
static int64_t send_lists(struct herald *herald)
{
    int64_t wait_ms = INT64_MAX;
    for (int sector = 1; sector < SECTOR_COUNT; sector++) {
        int64_t due_ms = list_due_ms(herald, sector);
        if (due_ms > 0)
            wait_ms = due_ms < wait_ms ? due_ms : wait_ms;
        else if (!herald->active_mid)
            publish_list(herald, (enum sector)sector);
    }
    return wait_ms;
}

/* What is suspect, one by one; what has nothing to send is so no longer. Returns as herald_send. */
static int64_t test(struct herald *herald)
{
    int64_t early_ms = herald->started_ms + HEARD_MS - now_ms();
    if (!herald->heard && early_ms > 0)
        return early_ms;
    if (in_flight(herald) || herald->active_mid)
        return INT64_MAX;
    if (next(herald, &herald->event)) {
        publish(herald, &herald->event);
        return INT64_MAX;
    }
    objections_acquit(&herald->objections, OBJECTION_ALARM);
    objections_acquit(&herald->objections, OBJECTION_REPORT);
    for (int sector = 1; sector < SECTOR_COUNT && !herald->active_mid; sector++) {
        if (herald->objections.of[OBJECTION_ACTIVE][sector].suspect &&
            list_due_ms(herald, sector) == 0)
            publish_list(herald, (enum sector)sector);
    }
    if (herald->active_mid)
        return INT64_MAX;
    objections_acquit(&herald->objections, OBJECTION_ACTIVE);
    return 0;
}

int64_t herald_send(struct herald *herald)
{
    if (!herald->mqtt)
        return INT64_MAX;
    if (!in_flight(herald))
        herald->word_ms = now_ms();
    if (is_testing(herald))
        return test(herald);
    while (in_flight(herald) < herald->slots && next(herald, &herald->event))
        publish(herald, &herald->event);
    if (herald->slots == 1 && in_flight(herald))
        return INT64_MAX;
    return send_lists(herald);
}

/* ---- what the broker says ---- */

static bool is_refusal(const struct herald *herald, int reason)
{
    return reason >= REASON_FAILURE ||
           (reason == REASON_NO_SUBSCRIBER && herald->post->own->confirm == CONFIRM_SUBSCRIBER);
}

static const char *const topic_names[] = {
    [OBJECTION_ALARM] = "alarm", [OBJECTION_REPORT] = "report", [OBJECTION_ACTIVE] = "active"};

static void note(struct herald *herald, bool refused)
{
    pthread_mutex_lock(&herald->mutex);
    for (size_t s = 0; s < SECTOR_COUNT; s++)
        herald->status.resting[s] = herald->objections.of[OBJECTION_ALARM][s].rests;
    herald->status.refused += refused;
    pthread_mutex_unlock(&herald->mutex);
}

static void hear(struct herald *herald, enum objection_topic topic, enum sector sector, int reason)
{
    struct objection *objection = &herald->objections.of[topic][sector];
    herald->objected = is_refusal(herald, reason);
    if (herald->objected) {
        if (objection_refused(objection, now_ms()))
            log_error("uplink %s: %s/%s refused (%s); it is kept and tried again",
                      herald->post->own->name, topic_names[topic], names_sector(sector),
                      mqtt_reason(herald->version_5, reason));
    } else if (objection_taken(objection)) {
        log_notice("uplink %s: %s/%s is taken again", herald->post->own->name, topic_names[topic],
                   names_sector(sector));
    }
    note(herald, herald->objected);
}

static void note_overtaken(struct herald *herald, uint64_t order)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct flight *flight = &herald->flights[i];
        if (flight->n && flight->order < order && !flight->overtaken_ms)
            flight->overtaken_ms = now_ms();
    }
}

static void take(struct herald *herald, const struct flight *flight)
{
    settle(herald, flight->id, flight->step, flight->n);
    pthread_mutex_lock(&herald->mutex);
    herald->status.alarms += flight->kind == LANE_ALARM;
    herald->status.reports += flight->kind == LANE_REPORT;
    pthread_mutex_unlock(&herald->mutex);
}

bool herald_acknowledged(struct herald *herald, int mid, int reason)
{
    if (!mid)
        return false;
    herald->heard = true;
    herald->objected = false;
    if (mid == herald->active_mid) {
        struct subject *subject = &herald->subjects[herald->active_sector];
        herald->active_mid = 0;
        herald->word_ms = now_ms();
        int64_t took_ms = herald->word_ms - subject->sent_ms;
        if (ACTIVE_SHARE * took_ms > ACTIVE_MS)
            subject->pause_ms = ACTIVE_SHARE * took_ms;
        hear(herald, OBJECTION_ACTIVE, herald->active_sector, reason);
        subject->stale |= herald->objected;
        return true;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        struct flight flight = herald->flights[i];
        if (!flight.n || flight.mid != mid)
            continue;
        herald->flights[i].n = 0;
        herald->word_ms = now_ms();
        note_overtaken(herald, flight.order);
        hear(herald, topic_of(flight.kind), flight.sector, reason);
        if (!herald->objected)
            take(herald, &flight);
        return true;
    }
    return false;
}

static void blame(struct herald *herald, enum objection_topic topic, enum sector sector, bool alone)
{
    if (objection_ended(&herald->objections.of[topic][sector], alone, now_ms()))
        log_error("uplink %s: the broker ends the connection on %s/%s; it is kept and tried again",
                  herald->post->own->name, topic_names[topic], names_sector(sector));
}

bool herald_stop(struct herald *herald, bool over_packet)
{
    size_t count = in_flight(herald) + (herald->active_mid != 0);
    bool alone = count == 1 && is_testing(herald);
    for (size_t i = 0; i < SLOTS && over_packet; i++) {
        const struct flight *flight = &herald->flights[i];
        if (flight->n)
            blame(herald, topic_of(flight->kind), flight->sector, alone);
    }
    if (over_packet && herald->active_mid)
        blame(herald, OBJECTION_ACTIVE, herald->active_sector, alone);
    if (!over_packet) /* another broker may be next, or an access list was mended */
        herald->objections = (struct objections){0};
    note(herald, false);
    herald->mqtt = NULL;
    herald->active_mid = 0;
    memset(herald->flights, 0, sizeof herald->flights);
    /* with others on their way data is as suspect */
    return over_packet && (alone || herald->objected);
}

bool herald_stalled(const struct herald *herald, char *why, size_t why_size)
{
    bool passed_over = false;
    for (size_t i = 0; i < SLOTS; i++) {
        const struct flight *flight = &herald->flights[i];
        passed_over |=
            flight->n && flight->overtaken_ms && now_ms() - flight->overtaken_ms >= SILENCE_MS;
    }
    bool silent = in_flight(herald) && now_ms() - herald->word_ms >= SILENCE_MS;
    if (!herald->mqtt || (!silent && !passed_over))
        return false;
    snprintf(why, why_size,
             passed_over ? "the broker has acknowledged later alarms, but not one of %d s ago"
                         : "the broker has not acknowledged an alarm for %d s",
             SILENCE_MS / 1000);
    return true;
}

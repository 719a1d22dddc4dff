/* The courier between a real store and a broker made up here: what goes out, in which order and how
 * much at a time, and whose the broker's word is.
 * Nothing runs by itself: the store's postbox is served by hand, and the connection is replaced at
 * the seam of mqtt.h: what is published is kept, and acknowledged when the test says so. The
 * monotonic clock goes on when the test says so. */
#include <time.h>

#include "tests/unit/debtor_world.h"

#include "gateway/uplink/command.h"
#include "gateway/uplink/courier.h"
#include "gateway/uplink/pace.h"
#include "tests/unit/true_clock.h"

enum { MOST = 2000, PAYLOAD_KEPT = 1 << 17 };

/* ---- the clock ---- */

static int64_t ahead_ms;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int64_t began_s;
    int rc = true_clock(clock, out);
    if (clock == CLOCK_REALTIME || rc)
        return rc;
    /* it stands still but for the test */
    began_s = began_s ? began_s : out->tv_sec;
    out->tv_sec = began_s + ahead_ms / 1000;
    out->tv_nsec = (long)(ahead_ms % 1000 * 1000000);
    return 0;
}

/* ---- the connection ---- */

struct sent {
    char topic[64];
    bool retain, answered;
    int mid;
    size_t length;
    uint64_t epoch, first_seq, last_seq;
};

struct mqtt {
    struct sent sent[MOST];
    size_t count;
    uint32_t max_packet;
    uint16_t receive_max;
    bool deaf; /* does not take anything */
};

static struct mqtt wire;

int mqtt_publish(struct mqtt *mqtt, const struct mqtt_message *message)
{
    assert_true(mqtt->count < MOST);
    struct sent *sent = &mqtt->sent[mqtt->count++];
    *sent = (struct sent){.retain = message->retain,
                          .length = message->length,
                          .mid = mqtt->deaf ? 0 : 100 + (int)mqtt->count};
    const char *own = strstr(message->topic, "gw-1/");
    snprintf(sent->topic, sizeof sent->topic, "%s", own ? own + 5 : message->topic);
    if (!own || strcmp(own, "gw-1/reply") == 0)
        return sent->mid;
    bool manifest = strncmp(sent->topic, "manifest/", 9) == 0;
    ProtobufCMessage *unpacked = message_unpack(manifest ? &lifeline__v1__manifest__descriptor
                                                         : &lifeline__v1__data_batch__descriptor,
                                                message->bytes, message->length, PAYLOAD_KEPT);
    assert_non_null(unpacked);
    if (manifest) {
        sent->epoch = ((Lifeline__V1__Manifest *)unpacked)->epoch;
    } else {
        const Lifeline__V1__DataBatch *batch = (Lifeline__V1__DataBatch *)unpacked;
        sent->epoch = batch->epoch;
        sent->first_seq = batch->n_segments ? batch->segments[0]->seq : 0;
        sent->last_seq = batch->n_segments ? batch->segments[batch->n_segments - 1]->seq : 0;
    }
    message_free(unpacked);
    return sent->mid;
}

int mqtt_subscribe(struct mqtt *mqtt, const char *topic)
{
    (void)mqtt;
    assert_string_equal(topic, "lifeline/v1/140502/gw-1/cmd");
    return 7;
}

int mqtt_socket(const struct mqtt *mqtt)
{
    (void)mqtt;
    return -1;
}

uint32_t mqtt_max_packet(const struct mqtt *mqtt)
{
    return mqtt->max_packet;
}

uint16_t mqtt_receive_max(const struct mqtt *mqtt)
{
    return mqtt->receive_max ? mqtt->receive_max : UINT16_MAX;
}

const char *mqtt_reason(bool version_5, int reason)
{
    (void)version_5;
    (void)reason;
    return "the test says so";
}

/* ---- the courier ---- */

static struct post post;
static struct courier *courier;

static void no_wake(void *context)
{
    (void)context;
}

static int begin(void **state)
{
    if (set_up(state) != 0)
        return -1;
    struct world *world = *state;
    world->uplink.root = (char *)"lifeline/v1";
    post = (struct post){&world->settings, &world->uplink};
    wire = (struct mqtt){0};
    courier = NULL;
    return 0;
}

static int finish(void **state)
{
    courier_free(courier);
    return tear_down(state);
}

/* Until nothing more comes. */
static void work(struct world *world)
{
    size_t before;
    do {
        before = wire.count;
        turn(world);
        courier_send(courier);
        turn(world);
        courier_send(courier);
    } while (wire.count != before);
    turn(world);
}

static void open_connection(struct world *world)
{
    if (!courier) {
        courier = courier_new(&post, world->store, 0, &(struct courier_asks){0});
        assert_non_null(courier);
        courier_attach(courier, no_wake, NULL);
    }
    wire.count = 0;
    courier_start(courier, &wire, true);
    work(world);
}

static void make_live(struct world *world, uint64_t seq)
{
    world->store->recent[SECTOR_GAS] =
        (struct recent){.seq = {seq}, .closed = {clock_mono()}, .count = 1};
}

static bool is_history(const struct sent *sent)
{
    return strncmp(sent->topic, "history/", 8) == 0;
}

/* The first that is not answered, or NULL. */
static struct sent *oldest(void)
{
    for (size_t i = 0; i < wire.count; i++) {
        if (!wire.sent[i].answered)
            return &wire.sent[i];
    }
    return NULL;
}

static size_t in_flight(size_t *history_bytes)
{
    size_t count = 0;
    *history_bytes = 0;
    for (size_t i = 0; i < wire.count; i++) {
        count += !wire.sent[i].answered;
        *history_bytes +=
            !wire.sent[i].answered && is_history(&wire.sent[i]) ? wire.sent[i].length : 0;
    }
    return count;
}

static void answer(struct world *world, struct sent *sent, int reason)
{
    sent->answered = true;
    assert_true(courier_acknowledged(courier, sent->mid, reason));
    work(world);
}

static void put_many(struct world *world, enum sector sector, int count)
{
    for (int i = 0; i < count; i++)
        put(world, sector);
}

static uint64_t owed(struct world *world)
{
    turn(world);
    return world->debtor->readings;
}

static void live_goes_first(void **state)
{
    struct world *world = *state;
    put_many(world, SECTOR_GAS, 10);
    make_live(world, 9);
    open_connection(world);
    assert_int_equal(wire.count, 2);
    assert_string_equal(wire.sent[0].topic, "data/gas");
    assert_int_equal(wire.sent[0].first_seq, 9);
    assert_int_equal(wire.sent[0].last_seq, 10);
    assert_string_equal(wire.sent[1].topic, "history/gas");
    assert_int_equal(wire.sent[1].first_seq, 1);
    assert_int_equal(wire.sent[1].last_seq, 8);
    assert_false(wire.sent[0].retain || wire.sent[1].retain);
}

/* What is in flight follows the time that acknowledgements take, and leaves slots. */
static void history_keeps_to_its_pace_and_its_slots(void **state)
{
    struct world *world = *state;
    size_t bytes, most = 0;
    put_many(world, SECTOR_GAS, 1000);
    wire.receive_max = 10; /* two of them are for the state and for an alarm, two for live data */
    open_connection(world);
    in_flight(&bytes);
    assert_in_range(bytes, STORE_ROOM / 2, STORE_ROOM + 200);
    while (oldest()) {
        ahead_ms += 10;
        answer(world, oldest(), 0);
        size_t count = in_flight(&bytes);
        most = count > most ? count : most;
        assert_in_range(count, 0, 6);
    }
    assert_int_equal(most, 6);
    assert_int_equal(owed(world), 0);
    /* on a new connection, slow from its second acknowledgement on */
    put_many(world, SECTOR_GAS, 300);
    courier_stop(courier, false);
    open_connection(world);
    for (int i = 0; i < 6; i++) {
        ahead_ms += 3000;
        answer(world, oldest(), 0);
    }
    in_flight(&bytes);
    assert_in_range(bytes, 1, PACE_MIN + 200);
}

static void a_slot_is_free_for_live(void **state)
{
    struct world *world = *state;
    size_t bytes;
    put_many(world, SECTOR_GAS, 300);
    wire.receive_max = 6;
    open_connection(world);
    while (in_flight(&bytes) < 2) {
        ahead_ms += 10;
        answer(world, oldest(), 0);
    }
    for (int i = 0; i < 2; i++) {
        size_t before = wire.count;
        put(world, SECTOR_GAS);
        make_live(world, world->store->epochs[0].last_seq[SECTOR_GAS]);
        work(world);
        assert_int_equal(wire.count, before + 1);
        assert_string_equal(wire.sent[before].topic, "data/gas");
    }
    put(world, SECTOR_GAS);
    size_t before = wire.count;
    work(world);
    assert_int_equal(wire.count, before); /* now it is full */
    courier_stop(courier, false);
    wire.receive_max = 2;
    open_connection(world);
    assert_int_equal(in_flight(&bytes), 1);
}

static void the_word_is_of_its_own_message(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    put(world, SECTOR_GAS);
    put(world, SECTOR_HEAT);
    open_connection(world);
    assert_int_equal(wire.count, 2);
    struct sent *heat = &wire.sent[strcmp(wire.sent[0].topic, "history/heat") == 0 ? 0 : 1];
    assert_false(courier_acknowledged(courier, 99, 0));
    assert_false(courier_acknowledged(courier, 0, 0));
    assert_int_equal(owed(world), 3);
    answer(world, heat, 0);
    assert_int_equal(owed(world), 2);
    assert_false(courier_acknowledged(courier, heat->mid, 0)); /* a second time */
    assert_int_equal(owed(world), 2);
    assert_int_equal(world->debtor->owed[0][SECTOR_HEAT].unacked.count, 0);
    answer(world, oldest(), 0);
    assert_int_equal(owed(world), 0);
    struct courier_status status;
    courier_status(courier, &status);
    assert_int_equal(status.batches, 2);
    assert_int_equal(status.readings, 3);
}

static void what_is_never_acknowledged_is_noticed(void **state)
{
    struct world *world = *state;
    char why[160];
    open_connection(world);
    ahead_ms += 600000;
    assert_false(courier_stalled(courier, why, sizeof why)); /* nothing is in flight */
    put(world, SECTOR_GAS);
    work(world);
    ahead_ms += 59000;
    assert_false(courier_stalled(courier, why, sizeof why));
    ahead_ms += 1000;
    assert_true(courier_stalled(courier, why, sizeof why));
    assert_string_equal(why, "the broker has acknowledged nothing for 60 s");
    /* others are acknowledged all the time, that one is not */
    for (int i = 0; i < 12; i++) {
        put(world, SECTOR_HEAT);
        work(world);
        answer(world, &wire.sent[wire.count - 1], 0);
        assert_false(courier_stalled(courier, why, sizeof why));
        ahead_ms += 5000;
    }
    assert_true(courier_stalled(courier, why, sizeof why));
    assert_string_equal(why, "the broker has acknowledged later messages, but not one of 60 s ago");
    assert_false(courier_stop(courier, false));
    assert_false(courier_stalled(courier, why, sizeof why));
    open_connection(world);
    assert_int_equal(wire.count, 1);
    assert_string_equal(wire.sent[0].topic, "history/gas");
    answer(world, oldest(), 0);
    assert_int_equal(owed(world), 0);
}

/* The store wakes on another board: another epoch. */
static void a_manifest_goes_before_its_rows(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    uint64_t old = world->store->epochs[0].number;
    assert_true(database_execute(world->store, "UPDATE epoch SET machine=machine+1"));
    die(world);
    assert_int_equal(world->store->epoch_count, 2);
    uint64_t now = world->store->epochs[1].number;
    put(world, SECTOR_GAS);
    make_live(world, 1);
    open_connection(world);
    const struct {
        const char *topic;
        uint64_t epoch, seq;
    } expected[] = {
        {"manifest/gas/1", now, 0}, {"data/gas", now, 1},
        {"history/gas", now, 0}, /* the Gap of that death; it explains itself */
        {"manifest/gas/1", old, 0}, {"manifest/gas/1", now, 0}, /* the broker keeps the last */
        {"history/gas", old, 1},
    };
    assert_int_equal(wire.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < wire.count; i++) {
        assert_string_equal(wire.sent[i].topic, expected[i].topic);
        assert_int_equal(wire.sent[i].epoch, expected[i].epoch);
        assert_int_equal(wire.sent[i].first_seq, expected[i].seq);
        assert_int_equal(wire.sent[i].retain, expected[i].topic[0] == 'm');
    }
    while (oldest())
        answer(world, oldest(), 0);
    assert_int_equal(owed(world), 0);
    struct courier_status status;
    courier_status(courier, &status);
    assert_int_equal(status.batches, 3); /* Manifests do not count */
}

static void parts_that_are_no_more_are_cleared(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    char key[64];
    snprintf(key, sizeof key, "parts %lld gas", (long long)world->debtor->row);
    assert_true(database_meta_set(world->store, key, 3));
    open_connection(world);
    assert_int_equal(wire.count, 3);
    assert_string_equal(wire.sent[1].topic, "manifest/gas/2");
    assert_string_equal(wire.sent[2].topic, "manifest/gas/3");
    assert_true(wire.sent[0].length > 0);
    assert_true(wire.sent[1].retain && wire.sent[1].length == 0 && wire.sent[2].length == 0);
}

static void what_is_refused_stays(void **state)
{
    struct world *world = *state;
    struct courier_status status;
    put(world, SECTOR_GAS);
    put(world, SECTOR_HEAT);
    open_connection(world);
    answer(world, &wire.sent[0], 0x87);
    answer(world, &wire.sent[1], 0);
    assert_int_equal(owed(world), 1);
    assert_int_equal(wire.count, 2); /* it rests */
    courier_status(courier, &status);
    assert_int_equal(status.refused, 1);
    assert_int_equal(status.batches, 1);
    ahead_ms += 11000;
    work(world);
    assert_int_equal(wire.count, 3);
    answer(world, &wire.sent[2], 0);
    assert_int_equal(owed(world), 0);
}

/* What is refused of a topic of which other rows are taken waits; unless the reason speaks of the
 * topic. */
static void a_reason_speaks_of_the_row_or_of_the_topic(void **state)
{
    static const int reasons[] = {0x80, 0x83, 0x99, 0x87, 0x90, 0x91, 0x97}; /* four of topics */
    struct world *world = *state;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        bool row = i < 3;
        put(world, SECTOR_GAS);
        open_connection(world);
        put(world, SECTOR_GAS);
        work(world);
        assert_int_equal(wire.count, 2);
        answer(world, &wire.sent[0], reasons[i]);
        answer(world, &wire.sent[1], 0);
        assert_int_equal(world->debtor->owed[0][SECTOR_GAS].waiting.count, row);
        assert_int_equal(world->debtor->refusals[false][SECTOR_GAS].rest.on, !row);
        assert_false(courier_stop(courier, false));
        open_connection(world);
        assert_int_equal(wire.count, 1);
        answer(world, &wire.sent[0], 0);
        assert_int_equal(owed(world), 0);
        assert_false(courier_stop(courier, false));
    }
}

/* The topics of gateways are not for others to choose from; those that only begin so are. */
static void a_reply_goes_where_it_may(void **state)
{
    static const char *const topics[][2] = {
        {NULL, "reply"},
        {"office/answers", "office/answers"},
        {"lifeline/v1x/answers", "lifeline/v1x/answers"},
        {"lifeline/v1", "lifeline/v1"},
        {"lifeline/v1/140502/gw-2/cmd", "reply"},
    };
    struct world *world = *state;
    uint8_t bytes[COMMAND_MAX];
    Lifeline__V1__Command command = LIFELINE__V1__COMMAND__INIT;
    open_connection(world);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        char id[] = "a";
        id[0] = (char)('a' + i);
        command.id = id;
        const struct mqtt_incoming message = {.bytes = bytes,
                                              .length =
                                                  message_pack(&command.base, bytes, sizeof bytes),
                                              .response_topic = topics[i][0]};
        courier_command(courier, &message);
        courier_answer(courier);
        assert_int_equal(wire.count, i + 1);
        assert_string_equal(wire.sent[i].topic, topics[i][1]);
    }
}

static void without_a_subscriber_it_is_as_confirm_says(void **state)
{
    struct world *world = *state;
    struct courier_status status;
    static const struct {
        enum confirm confirm;
        uint64_t owed;
    } kinds[] = {{CONFIRM_BROKER, 0}, {CONFIRM_SUBSCRIBER, 1}};
    for (size_t i = 0; i < 2; i++) {
        world->uplink.confirm = kinds[i].confirm;
        put(world, SECTOR_GAS);
        open_connection(world);
        answer(world, oldest(), 0x10);
        assert_int_equal(owed(world), kinds[i].owed);
        assert_false(courier_stop(courier, false));
    }
    courier_status(courier, &status);
    assert_int_equal(status.no_subscriber, 2);
    world->uplink.confirm = CONFIRM_PLATFORM;
    open_connection(world);
    answer(world, oldest(), 0);
    assert_int_equal(owed(world), 1); /* until the platform says so itself */
    assert_int_equal(wire.count, 1);
}

/* Whatever does not fit is not published; the third time it is set aside. */
static void nothing_exceeds_the_brokers_limit(void **state)
{
    struct world *world = *state;
    put(world, SECTOR_GAS);
    wire.max_packet = (uint32_t)post_overhead(&post) + 20;
    for (int times = 1; times <= 3; times++) {
        open_connection(world);
        for (size_t i = 0; i < wire.count; i++)
            assert_int_equal(wire.sent[i].first_seq, 0);
        assert_int_equal(world->debtor->set_aside, times == 3);
        assert_false(courier_stop(courier, true));
    }
    put_many(world, SECTOR_GAS, 30);
    wire.max_packet = (uint32_t)post_overhead(&post) + 200;
    for (open_connection(world); oldest(); answer(world, oldest(), 0))
        assert_true(oldest()->length + post_overhead(&post) <= wire.max_packet);
    assert_int_equal(owed(world), 0);
}

static unsigned suspects(struct world *world)
{
    unsigned count = 0;
    turn(world);
    for (int i = 0; i < SUSPECTS; i++)
        count += world->debtor->suspects[i].last_seq > 0;
    return count + world->debtor->owed[0][SECTOR_GAS].doubt.on;
}

/* Only by the broker's own end, and only if it had said anything; then all of it. */
static void what_was_in_flight_is_suspected(void **state)
{
    struct world *world = *state;
    open_with_device(world, 10);
    put(world, SECTOR_GAS);
    put(world, SECTOR_HEAT);
    open_connection(world);
    assert_int_equal(wire.count, 3);
    assert_false(courier_stop(courier, true)); /* it never said a word */
    assert_int_equal(suspects(world), 0);
    open_connection(world);
    courier_subscribed(courier, 7, 0);
    assert_false(courier_stop(courier, false));
    assert_int_equal(suspects(world), 0);
    wire.deaf = true; /* what the library does not take any more was in flight all the same */
    open_connection(world);
    courier_subscribed(courier, 7, 0);
    assert_false(courier_stop(courier, true));
    assert_int_equal(suspects(world), 3);
    wire.deaf = false;
    open_connection(world);
    assert_int_equal(wire.count, 1);
    answer(world, oldest(), 0); /* the Manifest */
    assert_int_equal(wire.count, 2);
    assert_true(courier_stop(courier, true)); /* alone */
    assert_int_equal(suspects(world), 1);
}

/* A parcel that was filled for the connection before is not published on the next. */
static void what_was_filled_for_another_connection_is_not_sent(void **state)
{
    struct world *world = *state;
    open_connection(world);
    put(world, SECTOR_GAS);
    turn(world);
    assert_false(courier_stop(courier, false));
    wire.count = 0;
    courier_start(courier, &wire, true);
    courier_send(courier);
    assert_int_equal(wire.count, 0);
    work(world);
    assert_int_equal(wire.count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(live_goes_first),
        TEST(history_keeps_to_its_pace_and_its_slots),
        TEST(a_slot_is_free_for_live),
        TEST(the_word_is_of_its_own_message),
        TEST(what_is_never_acknowledged_is_noticed),
        TEST(a_manifest_goes_before_its_rows),
        TEST(parts_that_are_no_more_are_cleared),
        TEST(what_is_refused_stays),
        TEST(a_reason_speaks_of_the_row_or_of_the_topic),
        TEST(a_reply_goes_where_it_may),
        TEST(without_a_subscriber_it_is_as_confirm_says),
        TEST(nothing_exceeds_the_brokers_limit),
        TEST(what_was_in_flight_is_suspected),
        TEST(what_was_filled_for_another_connection_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

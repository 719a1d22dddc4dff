/* Garbage and late answers in masses: no value may ever stand under a wrong point, and a bus is
 * well again within three cycles after the garbage ends.
 *
 *     fault_line garbage|late [COUNT [LINES [SEED]]]
 *
 * LINES lines run side by side, by turns a pty, Modbus TCP and RTU over TCP, until they have met
 * COUNT garbage frames (or late answers) together; no line time. What a register holds names its
 * unit, table and address, so a value from elsewhere shows itself. Two things no Modbus master can
 * tell are left out: noise that has the right CRC (one in 65536 by chance; over TCP, which has
 * none, the right header), and answers later than the product reckons with: LATE_MS here, not its
 * seconds. None is later than LATEST_MS; between the two is room for a machine that stands still (a
 * pty's bytes wait for a kernel thread). Prints what it counted; exit 1 when anything was wrong. */
enum { TIMEOUT_MS = 20, LATEST_MS = 300, LATE_MS = 1000 };
#define TRANSPORT_LATE_WIRE_MS    LATE_MS
#define TRANSPORT_LATE_NETWORK_MS LATE_MS
#define TRANSPORT_BODY_MIN_MS     5
#include "drivers/transport_ask.c"

#include <signal.h>

#include "tests/unit/transport_peer.h"

enum {
    UNITS = 8,
    STRANGER = 100, /* from here on nobody is asked */
    ADDRESSES = 1024,
    REFUSED = 900, /* late: from here on exception 2 */
    BURST = 60,    /* garbage frames between two times of peace */
    CYCLES_MAX = 3,
    QUEUE = 64,
    STALL_MS = 20,
    PATIENT_MS = 50, /* the timeout where nothing is late: no pause of the machine ends a read */
    LINES_MAX = 256,
};

enum mode { MODE_GARBAGE, MODE_LATE };

struct reply {
    mono_time due;
    size_t length;
    uint8_t bytes[600];
    bool late;
};

/* One line: a master, and a peer in a thread of its own. */
struct line {
    struct peer peer; /* its descriptors only; it is driven here */
    enum mode mode;
    unsigned seed, peer_seed;
    pthread_t master, far;
    atomic_bool peace, stop;
    atomic_long met; /* garbage frames or late answers */
    struct reply queue[QUEUE];
    size_t queued;
    mono_time free; /* when the last reply has been given */
    long outcomes[5], wrong, unasked, worst_cycles, stalls;
};

static atomic_long met_all;
static long wanted;

static unsigned below(unsigned *seed, unsigned limit)
{
    return ((unsigned)rand_r(seed) >> 4) % limit;
}

static uint16_t register_at(uint8_t unit, unsigned function, unsigned address)
{
    return (uint16_t)(address | (unit - 1u) << 10 | (function == FUNCTION_INPUT ? 0x2000u : 0u));
}

static bool bit_at(uint8_t unit, unsigned function, unsigned address)
{
    uint32_t hash = (register_at(unit, function, address) + function * 77777u) * 2654435761u;
    return hash >> 17 & 1;
}

/* From the unit on. */
static size_t right_answer(const uint8_t *request, unsigned count, uint8_t *out)
{
    unsigned address = (unsigned)(request[2] << 8 | request[3]);
    out[0] = request[0];
    out[1] = request[1];
    bool bits = request[1] <= FUNCTION_DISCRETE;
    out[2] = (uint8_t)(bits ? (count + 7) / 8 : count * 2);
    memset(out + 3, 0, out[2]);
    for (unsigned i = 0; i < count; i++) {
        if (bits) {
            out[3 + i / 8] |= (uint8_t)(bit_at(out[0], out[1], address + i) << i % 8);
        } else {
            uint16_t word = register_at(out[0], out[1], address + i);
            out[3 + 2 * i] = (uint8_t)(word >> 8);
            out[4 + 2 * i] = (uint8_t)word;
        }
    }
    return 3u + out[2];
}

enum garbage {
    NOISE,
    WRONG_CHECK, /* CRC, or the header's length */
    WRONG_UNIT,
    WRONG_FUNCTION,
    WRONG_COUNT,
    WRONG_TRANSACTION, /* RTU: a bit is wrong */
    SHORT,
    LONG, /* too many bytes in front of it */
    TAIL, /* behind it: the value is right */
    ECHO_ONLY,
    GARBAGE_COUNT,
};

/* Turns the right answer in `whole` into noise that is none, and begins like it now and then. */
static size_t make_noise(struct line *line, uint8_t *whole, size_t length)
{
    unsigned *seed = &line->peer_seed;
    bool tcp = line->peer.kind == TRANSPORT_TCP;
    uint8_t right[600];
    memcpy(right, whole, length);
    size_t same = below(seed, 2) ? below(seed, tcp ? 6 : (unsigned)length) : 0;
    size_t total = same + 1 + below(seed, 40);
    for (size_t i = same; i < total; i++) {
        whole[i] = (uint8_t)below(seed, 256);
    }
    if (tcp && total >= 9 && memcmp(whole, right, 9) == 0) {
        whole[0] ^= 0x80;
    }
    /* Any frame of the unit that has a right CRC. */
    for (size_t end = 5; !tcp && end <= total; end++) {
        if (peer_crc(whole, end) == 0) {
            whole[end - 1] ^= 0x5a;
            end = 4;
        }
    }
    return total;
}

static size_t spoil(struct line *line, enum garbage kind, const uint8_t *received, uint8_t *whole)
{
    unsigned *seed = &line->peer_seed;
    bool tcp = line->peer.kind == TRANSPORT_TCP;
    const uint8_t *request = tcp ? received + 6 : received;
    unsigned count = (unsigned)(request[4] << 8 | request[5]);
    unsigned step = request[1] <= FUNCTION_DISCRETE ? 8 : 1;
    unsigned other = below(seed, 2) || count <= step ? count + step : count - step;
    /* Right for another unit, the other table of the same form, a neighbouring count. */
    uint8_t asked[6], frame[300];
    memcpy(asked, request, sizeof asked);
    asked[0] = kind == WRONG_UNIT ? (uint8_t)(STRANGER + below(seed, 100)) : asked[0];
    asked[1] = kind != WRONG_FUNCTION ? asked[1] : (uint8_t)((step == 8 ? 3 : 7) - asked[1]);
    size_t length = right_answer(asked, kind == WRONG_COUNT ? other : count, frame);
    size_t total = peer_wrap(&line->peer, received, frame, length, whole);
    switch (kind) {
    case NOISE:
        return make_noise(line, whole, total);
    case WRONG_CHECK:
        whole[tcp ? 4 + below(seed, 2) : total - 1 - below(seed, 2)] ^=
            (uint8_t)(1 + below(seed, 255));
        return total;
    case WRONG_TRANSACTION:
        whole[tcp ? below(seed, 2) : below(seed, (unsigned)total)] ^=
            (uint8_t)(1 << below(seed, 8));
        return total;
    case SHORT:
        return 1 + below(seed, (unsigned)total - 1);
    case LONG:
    case TAIL: {
        size_t extra = 1 + below(seed, 8);
        memmove(whole + (kind == LONG ? extra : 0), whole, total);
        memset(whole + (kind == LONG ? 0 : total), (int)(0x11 + below(seed, 200)), extra);
        return total + extra;
    }
    case ECHO_ONLY:
        total = tcp ? 12 : 8;
        memcpy(whole, received, total);
        return total;
    case WRONG_UNIT:
    case WRONG_FUNCTION:
    case WRONG_COUNT:
    case GARBAGE_COUNT:
        break;
    }
    return total;
}

static void answer(struct line *line, const uint8_t *received)
{
    unsigned *seed = &line->peer_seed;
    const uint8_t *request = line->peer.kind == TRANSPORT_TCP ? received + 6 : received;
    unsigned count = (unsigned)(request[4] << 8 | request[5]);
    unsigned address = (unsigned)(request[2] << 8 | request[3]);
    struct reply *reply = &line->queue[line->queued];
    if (line->queued == QUEUE) {
        return;
    }
    mono_time now = clock_mono();
    reply->late = false;
    reply->due = now;
    if (line->mode == MODE_GARBAGE && !line->peace) {
        reply->length =
            spoil(line, (enum garbage)below(seed, GARBAGE_COUNT), received, reply->bytes);
        line->met++;
        met_all++;
        line->queued++;
        return;
    }
    uint8_t frame[300];
    size_t length = right_answer(request, count, frame);
    if (line->mode == MODE_LATE && address + count > REFUSED) {
        frame[1] |= 0x80;
        frame[2] = 2;
        length = 3;
    }
    reply->length = peer_wrap(&line->peer, received, frame, length, reply->bytes);
    if (line->mode == MODE_LATE && !line->peace) {
        unsigned fate = below(seed, 20);
        int delay_ms = fate < 4 ? (int)(TIMEOUT_MS + below(seed, 4 * TIMEOUT_MS)) : 0;
        mono_time begin = line->free.ns > now.ns ? line->free : now;
        reply->due = clock_after_ms(begin, delay_ms);
        /* Later than is reckoned with: lost, like one in twenty. */
        if (fate == 7 || clock_ms_between(now, reply->due) > LATEST_MS) {
            return;
        }
        line->free = reply->due;
        reply->late = clock_ms_between(now, reply->due) > TIMEOUT_MS;
    }
    line->queued++;
}

static void send_due(struct line *line)
{
    while (line->queued > 0 && line->queue[0].due.ns <= clock_mono().ns) {
        peer_send(&line->peer, line->queue[0].bytes, line->queue[0].length);
        line->met += line->queue[0].late;
        met_all += line->queue[0].late;
        line->queued--;
        memmove(line->queue, line->queue + 1, line->queued * sizeof line->queue[0]);
    }
}

/* The machine stood still: nobody knows how late what is here would be. It is lost. */
static void lose_all(struct line *line)
{
    uint8_t rest[512];
    line->stalls++;
    line->queued = 0;
    struct pollfd fd = {.fd = line->peer.fd, .events = POLLIN};
    while (poll(&fd, 1, 0) > 0 && read(line->peer.fd, rest, sizeof rest) > 0) {
    }
}

/* Serves one connection, or the pty, to its end. */
static void serve(struct line *line)
{
    uint8_t request[12];
    size_t have = 0, wanted_bytes = line->peer.kind == TRANSPORT_TCP ? 12 : 8;
    while (!line->stop) {
        int64_t wait_ns = 20000000;
        if (line->queued > 0) {
            wait_ns = line->queue[0].due.ns - clock_mono().ns;
            wait_ns = wait_ns > 0 ? wait_ns : 0;
        }
        struct timespec wait = {.tv_nsec = (long)(wait_ns % 1000000000),
                                .tv_sec = wait_ns / 1000000000};
        struct pollfd fd = {.fd = line->peer.fd, .events = POLLIN};
        mono_time expected = {clock_mono().ns + wait_ns};
        int ready = ppoll(&fd, 1, &wait, NULL);
        if (line->mode == MODE_LATE && clock_ms_between(expected, clock_mono()) > STALL_MS) {
            have = 0;
            lose_all(line);
            continue;
        }
        if (ready > 0) {
            ssize_t got = read(line->peer.fd, request + have, wanted_bytes - have);
            if (got <= 0) {
                return;
            }
            have += (size_t)got;
            if (have == wanted_bytes) {
                have = 0;
                answer(line, request);
            }
        }
        send_due(line);
    }
}

static void *far_run(void *argument)
{
    struct line *line = argument;
    while (!line->stop) {
        if (line->peer.kind == TRANSPORT_RTU) {
            serve(line);
            continue;
        }
        struct pollfd door = {.fd = line->peer.listener, .events = POLLIN};
        if (poll(&door, 1, 20) > 0) {
            line->peer.fd = accept(line->peer.listener, NULL, NULL);
            int on = 1;
            setsockopt(line->peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            serve(line);
            close(line->peer.fd);
        }
    }
    return NULL;
}

static struct transport_request random_request(struct line *line, uint8_t unit)
{
    static const uint16_t counts[] = {1, 2, 3, 10, 20, 125};
    static const uint16_t usual[] = {1, 1, 2, 10};
    unsigned *seed = &line->seed;
    struct transport_request request = {
        .unit = unit,
        .function = (enum function)(FUNCTION_COIL + below(seed, 4)),
        .count = counts[below(seed, sizeof counts / sizeof counts[0])],
    };
    if (profile_is_bits(request.function)) {
        request.count = (uint16_t)(20 + below(seed, 64)); /* fewer bits fit by chance */
    }
    /* Mostly one table, so that late answers have the form of the right one. */
    if (below(seed, 4) > 0) {
        request.function = FUNCTION_HOLDING;
        request.count = usual[below(seed, sizeof usual / sizeof usual[0])];
    }
    request.address = (uint16_t)below(seed, ADDRESSES - request.count);
    return request;
}

static bool is_right(const struct transport_request *request, const uint16_t *registers)
{
    for (unsigned i = 0; i < request->count; i++) {
        uint16_t right = profile_is_bits(request->function)
                             ? bit_at(request->unit, request->function, request->address + i)
                             : register_at(request->unit, request->function, request->address + i);
        if (registers[i] != right) {
            return false;
        }
    }
    return true;
}

static enum outcome read_one(struct line *line, struct transport *transport, uint8_t unit)
{
    struct transport_request request = random_request(line, unit);
    uint16_t registers[2000];
    uint8_t exception = 0;
    char why[160] = "";
    enum outcome outcome =
        transport_read(transport, &request, registers, &exception, why, sizeof why);
    bool refused = line->mode == MODE_LATE && request.address + request.count > REFUSED;
    line->outcomes[outcome]++;
    line->unasked += strncmp(why, "not asked", 9) == 0;
    bool wrong = (outcome == OUTCOME_OK && (refused || !is_right(&request, registers))) ||
                 (outcome == OUTCOME_EXCEPTION && !refused);
    if (wrong && line->wrong++ < 5) {
        fprintf(stderr, "kind %d: %s for unit %u function %u address %u count %u: %u %u\n",
                (int)line->peer.kind, transport_outcome_name(outcome), unit,
                (unsigned)request.function, request.address, request.count, registers[0],
                registers[1]);
    }
    return outcome;
}

/* After the garbage: how many cycles until every unit answers again. Garbage makes no unit silent;
 * a cycle in which one was, or still rests, because the machine stood still does not count. */
static void make_peace(struct line *line, struct transport *transport)
{
    line->peace = true;
    long cycles = 0;
    for (bool well = false; !well && cycles < 1000;) {
        long silent = line->outcomes[OUTCOME_TIMEOUT];
        well = true;
        for (uint8_t unit = 1; unit <= UNITS; unit++) {
            well &= read_one(line, transport, unit) == OUTCOME_OK;
        }
        bool counts = line->outcomes[OUTCOME_TIMEOUT] == silent;
        cycles += counts;
        peer_sleep_ms(counts ? 0 : 1);
    }
    /* The cycle in which all answer is not one that is lost. */
    line->worst_cycles = cycles > line->worst_cycles ? cycles : line->worst_cycles;
    line->peace = false;
}

static void *master_run(void *argument)
{
    struct line *line = argument;
    struct settings_line settings =
        peer_line(&line->peer, line->mode == MODE_LATE ? TIMEOUT_MS : PATIENT_MS);
    struct transport *transport = transport_new(&settings);
    long next_peace = BURST;
    while (met_all < wanted) {
        long unasked = line->unasked;
        (void)read_one(line, transport, (uint8_t)(1 + below(&line->seed, UNITS)));
        if (line->unasked > unasked) {
            peer_sleep_ms(1);
        }
        if (line->mode == MODE_GARBAGE && line->met >= next_peace) {
            make_peace(line, transport);
            next_peace = line->met + BURST;
        }
    }
    transport_free(transport);
    return NULL;
}

static void start(struct line *line, enum mode mode, enum transport_kind kind, unsigned seed)
{
    line->mode = mode;
    line->peer.kind = kind;
    line->peer.listener = line->peer.keep_open = -1;
    line->peer.fd = -1;
    line->seed = seed;
    line->peer_seed = seed ^ 0x5a5a5a;
    if (kind == TRANSPORT_RTU) {
        peer_open_pty(&line->peer);
    } else {
        line->peer.listener = peer_listen(&line->peer.port);
    }
    int rc = pthread_create(&line->far, NULL, far_run, line) |
             pthread_create(&line->master, NULL, master_run, line);
    assert(rc == 0);
    (void)rc;
}

static void finish(struct line *line)
{
    pthread_join(line->master, NULL);
    line->stop = true;
    pthread_join(line->far, NULL);
    close(line->peer.kind == TRANSPORT_RTU ? line->peer.fd : line->peer.listener);
    if (line->peer.keep_open >= 0) {
        close(line->peer.keep_open);
    }
}

static long tell(const struct line *lines, size_t count, enum transport_kind kind)
{
    static const char *const names[] = {"rtu", "tcp", "rtu-over-tcp"};
    long met = 0, wrong = 0, worst = 0, unasked = 0, stalls = 0, outcomes[5] = {0};
    for (size_t i = 0; i < count; i++) {
        if (lines[i].peer.kind != kind) {
            continue;
        }
        met += lines[i].met;
        wrong += lines[i].wrong;
        unasked += lines[i].unasked;
        stalls += lines[i].stalls;
        worst = lines[i].worst_cycles > worst ? lines[i].worst_cycles : worst;
        for (size_t o = 0; o < 5; o++) {
            outcomes[o] += lines[i].outcomes[o];
        }
    }
    printf("%s: met %ld, wrong %ld; ok %ld timeout %ld (not asked %ld) exception %ld garbled %ld "
           "link %ld",
           names[kind], met, wrong, outcomes[OUTCOME_OK], outcomes[OUTCOME_TIMEOUT], unasked,
           outcomes[OUTCOME_EXCEPTION], outcomes[OUTCOME_GARBLED], outcomes[OUTCOME_LINK]);
    if (stalls > 0) {
        printf(", %ld stalls", stalls);
    }
    printf(worst > 0 ? ", well after %ld cycles\n" : "\n", worst);
    long silent = outcomes[OUTCOME_TIMEOUT] - unasked;
    bool rests = lines[0].mode == MODE_GARBAGE && silent * 20 > met;
    return wrong + (worst > CYCLES_MAX) + (met == 0) + rests + outcomes[OUTCOME_LINK];
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || (strcmp(argv[1], "garbage") != 0 && strcmp(argv[1], "late") != 0)) {
        fprintf(stderr, "usage: fault_line garbage|late [COUNT [LINES [SEED]]]\n");
        return 2;
    }
    enum mode mode = strcmp(argv[1], "late") == 0 ? MODE_LATE : MODE_GARBAGE;
    wanted = argc > 2 ? strtol(argv[2], NULL, 10) : (mode == MODE_LATE ? 1000 : 8000);
    size_t count = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 24;
    unsigned seed = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : (unsigned)clock_wall().ms;
    count = count < 3 ? 3 : count > LINES_MAX ? LINES_MAX : count;
    printf("seed %u\n", seed);
    struct line *lines = calloc(count, sizeof *lines);
    assert(lines != NULL);
    mono_time begin = clock_mono();
    for (size_t i = 0; i < count; i++) {
        start(&lines[i], mode, (enum transport_kind)(i % 3), seed + (unsigned)i);
    }
    for (size_t i = 0; i < count; i++) {
        finish(&lines[i]);
    }
    long bad = 0;
    for (int kind = TRANSPORT_RTU; kind <= TRANSPORT_RTU_OVER_TCP; kind++) {
        bad += tell(lines, count, (enum transport_kind)kind);
    }
    printf("%ld ms\n", (long)clock_ms_between(begin, clock_mono()));
    free(lines);
    return bad > 0;
}

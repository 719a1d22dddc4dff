/* How much of a serial line the transport leaves unused: reads ten registers back to back on a pty
 * whose other end keeps the line's time to the microsecond.
 *
 *     bench_serial [SECONDS]        for each of 4800, 9600, 19200 and 115200 baud
 *
 * The line's own limit of a cycle is the request's characters, the silence that ends it, the
 * answer's characters and our silence behind it; the sensor thinks no time at all. Prints what
 * share of that limit is reached, and what a cycle takes beyond it. The other end spins, so that
 * its wake-ups are not counted as ours: the figures need a core for each side. */
#include <stdio.h>
#include <sys/prctl.h>

#include "drivers/line_time.h"
#include "tests/unit/transport_peer.h"

enum { REGISTERS = 10, REQUEST = 8 };

struct far_end {
    int fd;
    int64_t character_ns, silence_ns;
    atomic_bool stop;
};

static void spin_until(int64_t ns)
{
    while (clock_mono().ns < ns) {
    }
}

static void *far_run(void *argument)
{
    struct far_end *far = argument;
    struct peer framing = {.kind = TRANSPORT_RTU};
    uint8_t request[64], frame[300], whole[320];
    while (!far->stop) {
        ssize_t got = read(far->fd, request, sizeof request);
        if (got != REQUEST) {
            continue;
        }
        /* A pty hands over at once what a line would still be sending. */
        int64_t at = clock_mono().ns + REQUEST * far->character_ns + far->silence_ns;
        size_t length = peer_wrap(&framing, request, frame, peer_answer(request, 0, frame), whole);
        for (size_t i = 0; i < length; i++) {
            at += far->character_ns;
            spin_until(at);
            ssize_t sent = write(far->fd, whole + i, 1);
            (void)sent;
        }
    }
    return NULL;
}

static void measure(uint32_t baud, int64_t seconds)
{
    struct peer pty = {.kind = TRANSPORT_RTU};
    peer_open_pty(&pty);
    fcntl(pty.fd, F_SETFL, O_NONBLOCK);
    struct settings_line line = peer_line(&pty, 1000);
    line.serial.baud = baud;
    struct far_end far = {.fd = pty.fd,
                          .character_ns = line_time_character_ns(&line.serial),
                          .silence_ns = line_time_silence_ns(&line.serial)};
    pthread_t thread;
    if (pthread_create(&thread, NULL, far_run, &far) != 0) {
        abort();
    }
    struct transport *transport = transport_new(&line);
    struct transport_request request = {1, FUNCTION_HOLDING, 100, REGISTERS, 0};
    uint16_t registers[REGISTERS];
    uint8_t exception = 0;
    char why[160] = "";
    long cycles = 0, failed = -1;
    mono_time begin = clock_mono(), end = clock_after_ms(begin, seconds * 1000);
    for (; clock_mono().ns < end.ns; cycles++) {
        enum outcome outcome =
            transport_read(transport, &request, registers, &exception, why, sizeof why);
        failed += outcome != OUTCOME_OK || cycles == 0;
        if (cycles == 0) { /* the port was opened */
            begin = clock_mono();
        }
    }
    int64_t took_ns = (clock_mono().ns - begin.ns) / (cycles - 1);
    int64_t answer = 5 + 2 * REGISTERS;
    int64_t limit_ns = (REQUEST + answer) * far.character_ns + 2 * far.silence_ns;
    printf("serial-%u-share %.2f %%\n", baud, 100.0 * (double)limit_ns / (double)took_ns);
    printf("serial-%u-own %.0f us\n", baud, (double)(took_ns - limit_ns) / 1000);
    if (failed > 0) {
        printf("serial-%u-failed %ld reads\n", baud, failed);
    }
    fflush(stdout);
    transport_free(transport);
    far.stop = true;
    pthread_join(thread, NULL);
    close(pty.fd);
    close(pty.keep_open);
}

int main(int argc, char **argv)
{
    int64_t seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    prctl(PR_SET_TIMERSLACK, 1); /* as the line's thread does */
    static const uint32_t bauds[] = {4800, 9600, 19200, 115200};
    for (size_t i = 0; i < sizeof bauds / sizeof bauds[0]; i++) {
        measure(bauds[i], seconds > 1 ? seconds : 1);
    }
    return 0;
}

/* The yardstick: a bare libmodbus loop that reads the same registers at the same pace and does
 * nothing with them.
 *
 *     bench_bare PERIOD_MS SECONDS PORT...      one connection a port, 100 holding registers each
 *
 * PERIOD_MS 0 = as fast as it can. Prints the requests it made. Single thread, no store, no types;
 * never used by the product. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REGISTERS = 100, PORTS_MAX = 64 };

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(long long ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int main(int argc, char **argv)
{
    modbus_t *connections[PORTS_MAX];
    uint16_t registers[REGISTERS];
    int count = argc - 3;
    if (count < 1 || count > PORTS_MAX)
        return 2;
    long long period_ns = strtoll(argv[1], NULL, 10) * 1000000;
    long long begin = now_ns(), end = begin + strtoll(argv[2], NULL, 10) * 1000000000;
    for (int i = 0; i < count; i++) {
        connections[i] = modbus_new_tcp("127.0.0.1", (int)strtol(argv[3 + i], NULL, 10));
        if (!connections[i] || modbus_connect(connections[i]) != 0)
            return 1;
        modbus_set_slave(connections[i], 1);
    }
    unsigned long requests = 0;
    for (long long due = begin; due < end && now_ns() < end; due += period_ns) {
        sleep_until(due);
        for (int i = 0; i < count; i++)
            requests += modbus_read_registers(connections[i], 0, REGISTERS, registers) == REGISTERS;
    }
    printf("%lu\n", requests);
    for (int i = 0; i < count; i++) {
        modbus_close(connections[i]);
        modbus_free(connections[i]);
    }
    return 0;
}

/* The units of one line and the counters of their blocks.
 *
 * Runs in the simulator's only thread. Owns the devices' value functions and one counter for every
 * (unit, function, address) that was ever answered. Several devices may share a unit: each answers
 * for its own registers. Never touches a file descriptor. */
#include "drivers/sim/sim_units.h"

#include <stdlib.h>
#include <string.h>

#define EXCEPTION_FUNCTION 1
#define EXCEPTION_ADDRESS  2
#define EXCEPTION_VALUE    3
#define BITS_MAX           2000
#define REGISTERS_MAX      125

struct member {
    struct sim_value *value;
    int32_t device;
};

struct block {
    uint8_t unit, function;
    uint16_t address;
    uint32_t counter;
};

struct sim_units {
    struct member *members;
    size_t member_count;
    struct block *blocks; /* sorted by key */
    size_t block_count, block_room;
};

struct sim_units *sim_units_new(const struct settings *settings, uint32_t line)
{
    struct sim_units *units = calloc(1, sizeof *units);
    if (units == NULL) {
        return NULL;
    }
    units->members = calloc(settings->device_count + 1, sizeof *units->members);
    if (units->members == NULL) {
        goto fail;
    }
    for (size_t i = 0; i < settings->device_count; i++) {
        if (settings->devices[i].line != line) {
            continue;
        }
        struct sim_value *value = sim_value_new(&settings->devices[i]);
        if (value == NULL) {
            goto fail;
        }
        units->members[units->member_count++] = (struct member){value, (int32_t)i};
    }
    return units;
fail:
    sim_units_free(units);
    return NULL;
}

void sim_units_free(struct sim_units *units)
{
    if (units == NULL) {
        return;
    }
    for (size_t i = 0; i < units->member_count; i++) {
        sim_value_free(units->members[i].value);
    }
    free(units->members);
    free(units->blocks);
    free(units);
}

void sim_units_follow(struct sim_units *units, const struct sim_scenario *scenario)
{
    for (size_t i = 0; i < units->member_count; i++) {
        sim_value_follow(units->members[i].value, scenario, (uint32_t)units->members[i].device);
    }
}

static uint8_t unit_of(const struct member *member)
{
    return sim_value_device(member->value)->unit;
}

bool sim_units_present(const struct sim_units *units, uint8_t unit)
{
    for (size_t i = 0; i < units->member_count; i++) {
        if (unit_of(&units->members[i]) == unit) {
            return true;
        }
    }
    return false;
}

uint32_t sim_units_gap_ms(const struct sim_units *units, uint8_t unit)
{
    uint32_t gap_ms = 0;
    for (size_t i = 0; i < units->member_count; i++) {
        uint32_t own_ms = sim_value_device(units->members[i].value)->profile->min_gap_ms;
        if (unit_of(&units->members[i]) == unit && own_ms > gap_ms) {
            gap_ms = own_ms;
        }
    }
    return gap_ms;
}

const struct sim_value *sim_units_next(const struct sim_units *units,
                                       const struct sim_request *request, size_t *at)
{
    while (*at < units->member_count) {
        const struct member *member = &units->members[(*at)++];
        if (unit_of(member) == request->unit &&
            sim_value_covers(member->value, (enum function)request->function, request->address,
                             request->count)) {
            return member->value;
        }
    }
    return NULL;
}

int32_t sim_units_device(const struct sim_units *units, const struct sim_request *request)
{
    size_t at = 0;
    if (sim_units_next(units, request, &at) != NULL) {
        return units->members[at - 1].device;
    }
    for (size_t i = 0; i < units->member_count; i++) {
        if (unit_of(&units->members[i]) == request->unit) {
            return units->members[i].device;
        }
    }
    return -1;
}

static uint32_t block_key(uint8_t unit, uint8_t function, uint16_t address)
{
    return (uint32_t)unit << 24 | (uint32_t)function << 16 | address;
}

/* The block's counter; NULL when there is no memory. */
static uint32_t *counter_of(struct sim_units *units, const struct sim_request *request)
{
    uint32_t key = block_key(request->unit, request->function, request->address);
    size_t low = 0, high = units->block_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct block *block = &units->blocks[middle];
        if (block_key(block->unit, block->function, block->address) < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < units->block_count) {
        struct block *block = &units->blocks[low];
        if (block_key(block->unit, block->function, block->address) == key) {
            return &block->counter;
        }
    }
    if (units->block_count == units->block_room) {
        size_t room = units->block_room * 2 + 16;
        struct block *grown = realloc(units->blocks, room * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        units->blocks = grown;
        units->block_room = room;
    }
    memmove(units->blocks + low + 1, units->blocks + low,
            (units->block_count - low) * sizeof *units->blocks);
    units->block_count++;
    units->blocks[low] = (struct block){request->unit, request->function, request->address, 0};
    return &units->blocks[low].counter;
}

/* What a request may ask for at once: the least that the sensors it meets allow. */
static uint16_t limit_of(const struct sim_units *units, const struct sim_request *request)
{
    if (sim_frame_is_bits(request->function)) {
        return BITS_MAX;
    }
    uint16_t limit = REGISTERS_MAX;
    size_t at = 0;
    const struct sim_value *value;
    while ((value = sim_units_next(units, request, &at)) != NULL) {
        uint16_t own = sim_value_device(value)->profile->max_registers;
        limit = own > 0 && own < limit ? own : limit;
    }
    return limit;
}

static uint8_t refusal(const struct sim_units *units, const struct sim_request *request)
{
    size_t at = 0;
    if (request->function < FUNCTION_COIL || request->function > FUNCTION_INPUT) {
        return EXCEPTION_FUNCTION;
    }
    if (request->count == 0 || request->count > limit_of(units, request)) {
        return EXCEPTION_VALUE;
    }
    if ((uint32_t)request->address + request->count > 65536 ||
        sim_units_next(units, request, &at) == NULL) {
        return EXCEPTION_ADDRESS;
    }
    return 0;
}

size_t sim_units_answer(struct sim_units *units, const struct sim_request *request,
                        int64_t since_ms, uint8_t *pdu, struct sim_answer *answer)
{
    *answer = (struct sim_answer){.exception = refusal(units, request)};
    uint32_t *counter = answer->exception == 0 ? counter_of(units, request) : NULL;
    if (counter == NULL) {
        answer->exception = answer->exception != 0 ? answer->exception : 4;
        return sim_frame_exception_pdu(pdu, request->function, answer->exception);
    }
    answer->moment = (struct sim_moment){.counter = ++*counter, .since_ms = since_ms};
    uint16_t registers[BITS_MAX];
    memset(registers, 0, request->count * sizeof *registers);
    size_t at = 0;
    const struct sim_value *value;
    while ((value = sim_units_next(units, request, &at)) != NULL) {
        sim_value_fill(value, (enum function)request->function, request->address, request->count,
                       answer->moment, registers);
    }
    return sim_frame_read_pdu(pdu, request, registers);
}

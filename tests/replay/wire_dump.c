/* What our encoder writes, for a decoder that is not ours.
 *
 *     wire_dump golden        one line a message: its name and its bytes in hex, every field set by
 *                             the rule of fill_scalar(), which check_golden.py knows too
 *     wire_dump events        likewise alarms and a report, as the encoders of ours write them
 *     wire_dump random SEED   one JSON line a batch: the payload in hex, built by appending rows
 * and gaps, and the readings that went into it
 *
 * A test program without a test in it: tests/replay/wire/run compares. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lifeline/v1/lifeline.pb-c.h"
#include "proto/batch.h"
#include "proto/message.h"
#include "proto/segment.h"
#include "tests/replay/wire_events.h"

enum { PAYLOAD_MAX = 1 << 20, BATCHES = 60, BLOCKS_MAX = 4, COLUMNS_MAX = 6 };

static void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        exit(3);
    return memory;
}

static void print_hex(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        printf("%02x", bytes[i]);
}

/* ---- golden ---- */

static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *type, uint32_t oneof_choice);

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return 4;
}

static void fill_scalar(const ProtobufCFieldDescriptor *field, uint32_t k, void *out)
{
    uint32_t n = field->id;
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)out = n * 100000 + k;
        break;
    case PROTOBUF_C_TYPE_FIXED32:
        *(uint32_t *)out = 4000000000u + n * 10 + k;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *(uint64_t *)out = (UINT64_C(1) << 53) - 1 - n * 10 - k;
        break;
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)out = -((int64_t)n * 1000003 + k);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        *(int32_t *)out = -(int32_t)(n * 1000 + k);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        *(int64_t *)out = -((int64_t)n * INT64_C(1000000000000) + k);
        break;
    case PROTOBUF_C_TYPE_SFIXED64:
        *(int64_t *)out = INT64_C(1700000000000) + n + k;
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        *(float *)out = (float)(n + k) + 0.5f;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)out = (double)(n + k) + 0.25;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)out = 1;
        break;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumDescriptor *values = field->descriptor;
        *(int *)out = values->values[values->n_values - 1 - k].value;
        break;
    }
    case PROTOBUF_C_TYPE_STRING: {
        char text[64];
        int length = snprintf(text, sizeof(text), "%s-\u503c%u", field->name, k);
        char *copy = must_alloc((size_t)length + 1);
        memcpy(copy, text, (size_t)length);
        *(char **)out = copy;
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData *binary = out;
        binary->len = 3;
        binary->data = must_alloc(3);
        binary->data[1] = 0xff;
        binary->data[2] = (uint8_t)n;
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)out = fill(field->descriptor, 0);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        fprintf(stderr, "wire_dump: no rule for the type of %s\n", field->name);
        exit(3);
    }
}

/* Of a oneof, the field oneof_choice is set. */
static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *type, uint32_t oneof_choice)
{
    ProtobufCMessage *message = must_alloc(type->sizeof_message);
    type->message_init(message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        uint8_t *member = (uint8_t *)message + field->offset;
        void *quantifier = (uint8_t *)message + field->quantifier_offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            uint8_t *elements = must_alloc(2 * element_size(field->type));
            fill_scalar(field, 0, elements);
            fill_scalar(field, 1, elements + element_size(field->type));
            *(size_t *)quantifier = 2;
            *(void **)(void *)member = elements;
            continue;
        }
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            if (field->id != oneof_choice)
                continue;
            *(uint32_t *)quantifier = field->id;
        }
        fill_scalar(field, 0, member);
    }
    return message;
}

static void dump_golden(const ProtobufCMessageDescriptor *type, const char *choice)
{
    static uint8_t out[PAYLOAD_MAX];
    const ProtobufCFieldDescriptor *field =
        choice ? protobuf_c_message_descriptor_get_field_by_name(type, choice) : NULL;
    ProtobufCMessage *message = fill(type, field ? field->id : 0);
    size_t length = message_pack(message, out, sizeof(out));
    printf("%s%s%s ", type->short_name, choice ? "." : "", choice ? choice : "");
    print_hex(out, length);
    printf("\n");
    message_free(message);
}

static void dump_all_golden(void)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *choice;
    } all[] = {
        {&lifeline__v1__data_batch__descriptor, NULL},
        {&lifeline__v1__segment__descriptor, NULL},
        {&lifeline__v1__block__descriptor, NULL},
        {&lifeline__v1__column__descriptor, NULL},
        {&lifeline__v1__gap__descriptor, NULL},
        {&lifeline__v1__gateway_state__descriptor, NULL},
        {&lifeline__v1__stream_end__descriptor, NULL},
        {&lifeline__v1__store_state__descriptor, NULL},
        {&lifeline__v1__uplink_state__descriptor, NULL},
        {&lifeline__v1__line_state__descriptor, NULL},
        {&lifeline__v1__manifest__descriptor, NULL},
        {&lifeline__v1__device__descriptor, NULL},
        {&lifeline__v1__point__descriptor, NULL},
        {&lifeline__v1__position__descriptor, NULL},
        {&lifeline__v1__alarm_event__descriptor, NULL},
        {&lifeline__v1__evidence__descriptor, NULL},
        {&lifeline__v1__active_alarms__descriptor, NULL},
        {&lifeline__v1__command__descriptor, "ack"},
        {&lifeline__v1__command__descriptor, "confirm"},
        {&lifeline__v1__ack_alarm__descriptor, NULL},
        {&lifeline__v1__confirm__descriptor, NULL},
        {&lifeline__v1__command_reply__descriptor, NULL},
        {&lifeline__v1__report__descriptor, "runoff"},
        {&lifeline__v1__runoff_event__descriptor, NULL},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        dump_golden(all[i].type, all[i].choice);
}

/* ---- random ---- */

static uint64_t state;

static uint64_t roll(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(roll() % limit);
}

static uint8_t random_quality(void)
{
    static const uint8_t codes[] = {
        QUALITY_UNCERTAIN, QUALITY_SPIKE,        QUALITY_OUT_OF_RANGE,
        QUALITY_INVALID,   QUALITY_SENSOR_FAULT, QUALITY_TIMEOUT,
        QUALITY_EXCEPTION, QUALITY_LINK,         QUALITY_STALE,
    };
    return below(5) ? QUALITY_GOOD : codes[below(sizeof(codes))];
}

static struct value random_value(bool is_float)
{
    struct value value = {.quality = random_quality()};
    if (is_float) {
        uint32_t bits = below(2) ? 0x41c80000u + below(100000) : (uint32_t)roll() & 0xff7fffffu;
        memcpy(&value.real, &bits, sizeof(bits));
    } else if (below(4)) {
        value.steps = (int64_t)below(2000) - 1000;
    } else {
        value.steps = (int64_t)(roll() >> 11) * (below(2) ? 1 : -1);
    }
    return value;
}

static void print_value(const struct value *value, bool is_float)
{
    uint32_t bits;
    memcpy(&bits, &value->real, sizeof(bits));
    if (!names_quality_usable((enum quality)value->quality))
        printf("[null,%u]", value->quality);
    else if (is_float)
        printf("[%" PRIu32 ",%u]", bits, value->quality);
    else
        printf("[%" PRId64 ",%u]", value->steps, value->quality);
}

struct shape {
    struct segment_block blocks[BLOCKS_MAX];
    struct segment_column columns[BLOCKS_MAX][COLUMNS_MAX];
    size_t block_count;
};

static void random_shape(struct shape *shape)
{
    shape->block_count = 1 + below(BLOCKS_MAX);
    for (size_t i = 0; i < shape->block_count; i++) {
        size_t count = 1 + below(COLUMNS_MAX);
        for (size_t j = 0; j < count; j++) {
            bool is_float = below(4) == 0;
            shape->columns[i][j] = (struct segment_column){
                .point = 1 + below(400),
                .decimals = (uint8_t)(is_float ? 0 : below(5)),
                .is_float = is_float,
            };
        }
        shape->blocks[i] = (struct segment_block){
            .device = 1 + below(300), .column_count = count, .columns = shape->columns[i]};
    }
}

static void print_columns(const struct segment_block *block)
{
    printf("{\"device\":%" PRIu32 ",\"columns\":[", block->device);
    for (size_t i = 0; i < block->column_count; i++)
        printf("%s[%" PRIu32 ",%u,%s]", i ? "," : "", block->columns[i].point,
               block->columns[i].decimals, block->columns[i].is_float ? "true" : "false");
    printf("],\"rows\":[");
}

/* Adds some rows to one block and prints them. */
static void random_rows(struct segment *segment, const struct segment_block *block, size_t index,
                        int64_t time_ms)
{
    print_columns(block);
    uint32_t rows = below(4) ? 1 + below(40) : 0;
    for (uint32_t row = 0; row < rows; row++) {
        struct value values[COLUMNS_MAX];
        time_ms += (int64_t)below(2000) - 5;
        printf("%s[%" PRId64, row ? "," : "", time_ms);
        for (size_t i = 0; i < block->column_count; i++) {
            values[i] = random_value(block->columns[i].is_float);
            printf(",");
            print_value(&values[i], block->columns[i].is_float);
        }
        printf("]");
        if (!segment_add(segment, index, time_ms, values))
            exit(3);
    }
    printf("]}");
}

/* Appends one segment as the store would; prints it. Returns the new used. */
static size_t random_segment(struct segment *segment, const struct shape *shape, uint64_t seq,
                             uint8_t *out, size_t used)
{
    static uint8_t body[PAYLOAD_MAX], row[PAYLOAD_MAX];
    struct segment_start start = {
        .base_ms = INT64_C(1760000000000) + (int64_t)below(1000000000),
        .mono_ms = (int64_t)below(1000000),
        .clock = (enum clock_state)(1 + below(5)),
        .boot = (uint32_t)roll(),
    };
    segment_reset(segment, &start);
    printf("{\"seq\":%" PRIu64 ",\"base_ms\":%" PRId64 ",\"mono_ms\":%" PRId64
           ",\"clock\":%d,\"boot\":%" PRIu32 ",\"blocks\":[",
           seq, start.base_ms, start.mono_ms, (int)start.clock, start.boot);
    for (size_t i = 0; i < shape->block_count; i++) {
        printf("%s", i ? "," : "");
        random_rows(segment, &shape->blocks[i], i, start.base_ms);
    }
    printf("]}");
    size_t length = segment_encode(segment, body, sizeof(body));
    if (length != segment_size(segment))
        exit(3);
    if (!length)
        return used;
    length = segment_row(seq, body, length, row, sizeof(row));
    return batch_append(row, length, out, used, PAYLOAD_MAX);
}

static size_t random_gap(uint64_t epoch, enum sector sector, uint8_t *out, size_t used)
{
    uint64_t first = below(2) ? 1 + below(100000) : 0;
    struct batch_gap gap = {
        .epoch = epoch,
        .sector = sector,
        .first_seq = first,
        .last_seq = first ? first + below(100) : 0,
        .from_ms = INT64_C(1760000000000) + (int64_t)below(100000),
        .readings = roll() >> 11,
        .reason = (enum gap_reason)(1 + below(7)),
    };
    gap.to_ms = gap.from_ms + (int64_t)below(100000);
    uint8_t row[BATCH_GAP_MAX];
    size_t length = batch_gap(&gap, row, sizeof(row));
    printf("[%" PRIu64 ",%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 ",%d]", gap.first_seq,
           gap.last_seq, gap.from_ms, gap.to_ms, gap.readings, (int)gap.reason);
    return batch_append(row, length, out, used, PAYLOAD_MAX);
}

static void random_batch(void)
{
    static uint8_t out[PAYLOAD_MAX];
    struct shape shape;
    random_shape(&shape);
    struct segment *segment = segment_new(shape.blocks, shape.block_count);
    if (!segment)
        exit(3);
    uint64_t epoch = 1 + (roll() >> 12);
    enum sector sector = (enum sector)(1 + below(10));
    size_t used = batch_head("gw-140502-0001", epoch, sector, out, sizeof(out));
    printf("{\"epoch\":%" PRIu64 ",\"sector\":%d,\"segments\":[", epoch, (int)sector);
    uint32_t segments = below(5);
    for (uint32_t i = 0; i < segments; i++) {
        printf("%s", i ? "," : "");
        used = random_segment(segment, &shape, roll() >> (11 + below(53)), out, used);
    }
    printf("],\"gaps\":[");
    uint32_t gaps = below(3);
    for (uint32_t i = 0; i < gaps; i++) {
        printf("%s", i ? "," : "");
        used = random_gap(epoch, sector, out, used);
    }
    printf("],\"payload\":\"");
    print_hex(out, used);
    printf("\"}\n");
    segment_free(segment);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "golden") == 0) {
        dump_all_golden();
    } else if (argc == 2 && strcmp(argv[1], "events") == 0) {
        wire_events_dump();
    } else if (argc == 3 && strcmp(argv[1], "random") == 0) {
        state = strtoull(argv[2], NULL, 10);
        for (int i = 0; i < BATCHES; i++)
            random_batch();
    } else {
        fprintf(stderr, "usage: wire_dump golden | events | random SEED\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

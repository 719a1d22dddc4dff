/* Reads the test vectors of a profile: frames of the sensor's documentation.
 *
 * Runs in the thread that loads a configuration; fills structs of the profile's arena. Frames are
 * judged as frames (CRC, length, an answer that fits its request); whether they decode to what is
 * expected is replayed by the drivers. */
#include <ctype.h>
#include <string.h>

#include "config/profile_parts.h"
#include "config/scalar.h"
#include "config/suggest.h"

enum { FRAME_MAX = 256, REQUEST_LENGTH = 8 };

struct frame {
    uint8_t *bytes;
    size_t length;
};

static uint16_t crc16(const uint8_t *bytes, size_t length)
{
    uint16_t crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
    }
    return crc;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, tolower((unsigned char)digit));
    return found == NULL ? -1 : (int)(found - digits);
}

/* "01 03 00 00": two digits a byte, blanks between. False when it is anything else. */
static bool hex_bytes(const char *text, uint8_t *bytes, size_t *length)
{
    *length = 0;
    while (*text != '\0') {
        if (*text == ' ') {
            text++;
            continue;
        }
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || *length == FRAME_MAX)
            return false;
        bytes[(*length)++] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return true;
}

static bool parse_frame(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct frame *frame = out;
    uint8_t bytes[FRAME_MAX];
    if (!field_is_text(reader, node, "a frame"))
        return false;
    if (!hex_bytes(node->text, bytes, &frame->length) || frame->length < 5)
        return field_error(reader, node,
                           "%s is no frame; write its bytes in hex, like \"01 03 00 00 00 01 84 "
                           "0A\"",
                           field->key);
    size_t body = frame->length - 2;
    uint16_t crc = crc16(bytes, body);
    if (bytes[body] != (crc & 0xff) || bytes[body + 1] != crc >> 8)
        return field_error(reader, node, "CRC %02X %02X of the %s is wrong; it should be %02X %02X",
                           bytes[body], bytes[body + 1], field->key, crc & 0xff, crc >> 8);
    frame->bytes = (uint8_t *)arena_copy(reader->arena, (const char *)bytes, frame->length);
    return true;
}

static bool parse_expect(const struct reader *reader, const struct field *field,
                         const struct node *node, void *out)
{
    (void)out;
    if (node->kind == NODE_MAP)
        return true;
    return field_error(reader, node, "%s is a map like { tilt_x: 1.25 }", field->key);
}

static const struct field_type FRAME = {.read = parse_frame,
                                        .name = {"十六进制报文", "frame in hex"}};
static const struct field_type EXPECT = {
    .read = parse_expect, .name = {"测点名: 值或质量", "map of POINT: value or quality"}};

struct vector_frames {
    struct frame request, response;
};

static const struct field VECTOR_FIELDS[] = {
    {.key = "request",
     .type = &FRAME,
     .offset = offsetof(struct vector_frames, request),
     .required = true,
     .help = {"请求报文，含 CRC", "the frame that asks, CRC included"}},
    {.key = "response",
     .type = &FRAME,
     .offset = offsetof(struct vector_frames, response),
     .help = {"应答报文，含 CRC", "the frame that answers, CRC included"}},
    {.key = "expect", .type = &EXPECT, .help = {"此时各测点的值", "what the points are then"}},
};

const struct section PROFILE_VECTOR = {"a vector", VECTOR_FIELDS, 3};

static uint16_t word(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool check_request(const struct reader *reader, const struct node *node,
                          const struct frame *request)
{
    if (request->length != REQUEST_LENGTH)
        return field_error(reader, node, "a request has 8 bytes, not %zu", request->length);
    uint8_t function = request->bytes[1];
    if (function < FUNCTION_COIL || function > FUNCTION_INPUT)
        return field_error(reader, node, "function %u is no read (1 to 4)", function);
    if (word(request->bytes + 4) == 0)
        return field_error(reader, node, "the request asks for 0 registers");
    return true;
}

static bool check_response(const struct reader *reader, const struct node *node,
                           const struct frame *request, const struct frame *response)
{
    const uint8_t *asked = request->bytes, *answered = response->bytes;
    bool bits = asked[1] == FUNCTION_COIL || asked[1] == FUNCTION_DISCRETE;
    size_t count = word(asked + 4);
    size_t data = bits ? (count + 7) / 8 : count * 2;
    if (answered[0] != asked[0])
        return field_error(reader, node, "unit %u answers a request to unit %u", answered[0],
                           asked[0]);
    if (answered[1] == (asked[1] | 0x80) && response->length == 5)
        return true;
    if (answered[1] != asked[1])
        return field_error(reader, node, "function %u answers a request of function %u",
                           answered[1], asked[1]);
    if (response->length != data + 5 || answered[2] != data)
        return field_error(reader, node,
                           "the request asks for %zu, so the response has %zu bytes of data; this "
                           "one says %u and has %zu",
                           count, data, answered[2], response->length - 5);
    return true;
}

static bool read_expect(const struct reader *reader, const struct profile *profile,
                        const struct node *member, struct profile_expect *expect)
{
    int index = profile_point_index(profile, member->key);
    if (index < 0) {
        struct suggest suggest = suggest_start(member->key);
        for (size_t i = 0; i < profile->point_count; i++)
            suggest_offer(&suggest, profile->points[i].name);
        diagnostics_add(reader->out, SEVERITY_ERROR, member->key_place,
                        "the profile has no point \"%s\"%s", member->key, suggest_text(&suggest));
        return false;
    }
    expect->point = (uint32_t)index;
    if (!field_is_text(reader, member, "a number or the name of a quality"))
        return false;
    expect->usable = scalar_number(member->text, &expect->value);
    if (expect->usable || names_quality_parse(member->text, &expect->quality))
        return true;
    return field_error(reader, member, "\"%.40s\" is neither a number nor a quality", member->text);
}

static void read_vector(const struct reader *reader, const struct node *node,
                        struct profile *profile)
{
    struct vector_frames frames = {0};
    if (!field_read(reader, &PROFILE_VECTOR, node, &frames) ||
        !check_request(reader, tree_member(node, "request"), &frames.request))
        return;
    const struct node *response = tree_member(node, "response");
    const struct node *expect = tree_member(node, "expect");
    if (response != NULL && !check_response(reader, response, &frames.request, &frames.response))
        return;
    if (expect != NULL && response == NULL) {
        field_error(reader, expect, "without a response there is nothing to expect");
        return;
    }
    struct profile_vector *vector = &profile->vectors[profile->vector_count++];
    *vector = (struct profile_vector){
        .place = node->place,
        .request = frames.request.bytes,
        .request_length = frames.request.length,
        .response = frames.response.bytes,
        .response_length = frames.response.length,
    };
    if (expect == NULL)
        return;
    vector->expect = arena_array(reader->arena, expect->count, sizeof(*vector->expect));
    for (const struct node *member = expect->first; member != NULL; member = member->next) {
        if (read_expect(reader, profile, member, &vector->expect[vector->expect_count]))
            vector->expect_count++;
    }
}

void profile_vector_read(const struct reader *reader, const struct node *list,
                         struct profile *profile)
{
    if (list == NULL || list->kind != NODE_LIST)
        return;
    profile->vectors = arena_array(reader->arena, list->count, sizeof(*profile->vectors));
    for (const struct node *item = list->first; item != NULL; item = item->next)
        read_vector(reader, item, profile);
}

/* Transcripts as text: written while somebody probes, read when a test replays them.
 *
 * Pure but for the stream that the caller gives; owns what it parses. Frames are not judged here:
 * a wrong answer is worth keeping, it may be why the transcript was made. No text of any kind makes
 * it fail otherwise than by returning false. */
#include "drivers/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/transport_frame.h"

enum { PDU_LEAST = 3, EXCHANGES_MAX = 100000 };

static void write_frame(FILE *out, char mark, const uint8_t *bytes, size_t length)
{
    fputc(mark, out);
    for (size_t i = 0; i < length; i++)
        fprintf(out, " %02X", bytes[i]);
    fputc('\n', out);
}

static void write_answer(FILE *out, enum transport_kind kind, const struct probe_answer *answer)
{
    uint8_t frame[PROBE_FRAME_MAX];
    size_t length = answer->frame_length;
    bool right = answer->outcome == OUTCOME_OK || answer->outcome == OUTCOME_EXCEPTION;
    if (length == 0) {
        fprintf(out, "< %s\n", transport_outcome_name(answer->outcome));
    } else if (kind == TRANSPORT_TCP && right && length >= FRAME_MBAP_LENGTH + PDU_LEAST) {
        memcpy(frame, answer->frame + FRAME_MBAP_LENGTH, length - FRAME_MBAP_LENGTH);
        write_frame(out, '<', frame, transport_frame_add_crc(frame, length - FRAME_MBAP_LENGTH));
    } else {
        write_frame(out, '<', answer->frame, length);
    }
    if (answer->heard_length > 0)
        write_frame(out, '<', answer->heard, answer->heard_length);
}

void transcript_write(FILE *out, enum transport_kind kind, const struct probe_question *question,
                      const struct probe_answer *answer)
{
    uint8_t frame[TRANSCRIPT_REQUEST_LENGTH];
    transport_frame_rtu_request(&question->request, frame);
    write_frame(out, '>', frame, sizeof frame);
    write_answer(out, kind, answer);
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* " 01 03": what stands behind the mark of a line. False when it is anything else. */
static bool hex_bytes(const char *text, const char *end, uint8_t *bytes, size_t room,
                      size_t *length)
{
    for (*length = 0; text < end; text += 3) {
        int high = end - text >= 3 && text[0] == ' ' ? hex_digit(text[1]) : -1;
        int low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0 || *length == room)
            return false;
        bytes[(*length)++] = (uint8_t)(high << 4 | low);
    }
    return *length > 0;
}

static struct transcript_exchange *add_exchange(struct transcript *transcript)
{
    struct transcript_exchange *grown =
        realloc(transcript->exchanges, (transcript->count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    transcript->exchanges = grown;
    grown += transcript->count++;
    *grown = (struct transcript_exchange){0};
    return grown;
}

/* How many answers the newest question has; -1 before the first. */
struct state {
    struct transcript *transcript;
    int answers;
};

static const char *take_request(struct state *state, const char *text, const char *end)
{
    struct transcript *transcript = state->transcript;
    uint8_t request[TRANSCRIPT_REQUEST_LENGTH];
    size_t length;
    if (state->answers == 0)
        return "the question before has no answer";
    if (!hex_bytes(text, end, request, sizeof request, &length) || length != sizeof request)
        return "a question is eight bytes like \"01 03 00 00 00 03 05 CB\"";
    if (transcript->count == EXCHANGES_MAX)
        return "too many questions";
    struct transcript_exchange *exchange = add_exchange(transcript);
    if (exchange == NULL)
        return "out of memory";
    memcpy(exchange->request, request, sizeof request);
    state->answers = 0;
    return NULL;
}

static bool is_nothing(const char *text, const char *end)
{
    static const char *const words[] = {" timeout", " garbled", " link"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(end - text) == length && memcmp(text, words[i], length) == 0)
            return true;
    }
    return false;
}

static const char *take_answer(struct state *state, const char *text, const char *end)
{
    uint8_t bytes[PROBE_HEARD_MAX];
    size_t length = 0;
    if (state->answers < 0)
        return "an answer before the first question";
    bool nothing = is_nothing(text, end);
    if (!nothing && !hex_bytes(text, end, bytes, sizeof bytes, &length))
        return "an answer is bytes like \"01 83 02 C0 F1\", or timeout";
    if (state->answers++ > 0)
        return NULL; /* heard behind the answer */
    struct transcript_exchange *exchange =
        &state->transcript->exchanges[state->transcript->count - 1];
    if (length > sizeof exchange->answer)
        return "no answer is as long as this";
    memcpy(exchange->answer, bytes, length);
    exchange->answer_length = length;
    return NULL;
}

static const char *take_line(struct state *state, const char *text, const char *end)
{
    if (text == end || *text == '#')
        return NULL;
    if (*text == '>')
        return take_request(state, text + 1, end);
    if (*text == '<')
        return take_answer(state, text + 1, end);
    return "a line begins with >, < or #";
}

bool transcript_parse(struct transcript *transcript, const char *text, char *why, size_t why_size)
{
    struct state state = {transcript, -1};
    const char *wrong = NULL;
    unsigned line = 0;
    *transcript = (struct transcript){0};
    while (wrong == NULL && *text != '\0') {
        size_t length = strcspn(text, "\n");
        line++;
        wrong = take_line(&state, text, text + length);
        text += length + (text[length] == '\n');
    }
    if (wrong == NULL && state.answers == 0)
        wrong = "the last question has no answer";
    if (wrong == NULL)
        return true;
    snprintf(why, why_size, "line %u: %s", line, wrong);
    transcript_free(transcript);
    return false;
}

void transcript_free(struct transcript *transcript)
{
    free(transcript->exchanges);
    *transcript = (struct transcript){0};
}

const struct transcript_exchange *transcript_find(const struct transcript *transcript,
                                                  const uint8_t request[TRANSCRIPT_REQUEST_LENGTH])
{
    for (size_t i = transcript->count; i-- > 0;) {
        if (memcmp(transcript->exchanges[i].request, request, TRANSCRIPT_REQUEST_LENGTH) == 0)
            return &transcript->exchanges[i];
    }
    return NULL;
}

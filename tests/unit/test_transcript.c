/* Transcripts as text: what is written is read back, and nothing that anybody puts into such a file
 * does more harm than to be refused.
 *
 * The random part changes a good transcript byte by byte and prints its seed; SEED=N repeats it.
 * Under ASan it is a small fuzzer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/transcript.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const struct probe_question tilt = {
    .request = {.unit = 1, .function = FUNCTION_HOLDING, .address = 0, .count = 3}};
static const uint8_t tilt_request[] = {0x01, 0x03, 0x00, 0x00, 0x00, 0x03, 0x05, 0xCB};
static const uint8_t tilt_answer[] = {0x01, 0x03, 0x06, 0x00, 0x7D, 0xFF,
                                      0xDD, 0x00, 0x05, 0x2D, 0x52};

static struct probe_answer answer_of(enum outcome outcome, const uint8_t *bytes, size_t length)
{
    struct probe_answer answer = {.outcome = outcome, .frame_length = length};
    if (length > 0)
        memcpy(answer.frame, bytes, length);
    return answer;
}

static char *written(enum transport_kind kind, const struct probe_answer *answer)
{
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    transcript_write(stream, kind, &tilt, answer);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void expect_text(enum transport_kind kind, const struct probe_answer *answer,
                        const char *expected)
{
    char *text = written(kind, answer);
    assert_string_equal(text, expected);
    free(text);
}

static void frames_are_written_as_they_came(void **state)
{
    (void)state;
    struct probe_answer answer = answer_of(OUTCOME_OK, tilt_answer, sizeof tilt_answer);
    expect_text(TRANSPORT_RTU, &answer,
                "> 01 03 00 00 00 03 05 CB\n< 01 03 06 00 7D FF DD 00 05 2D 52\n");
    answer.heard[0] = 0xAB;
    answer.heard_length = 1;
    expect_text(TRANSPORT_RTU, &answer,
                "> 01 03 00 00 00 03 05 CB\n< 01 03 06 00 7D FF DD 00 05 2D 52\n< AB\n");
    answer = answer_of(OUTCOME_GARBLED, tilt_answer + 1, 3);
    expect_text(TRANSPORT_RTU_OVER_TCP, &answer, "> 01 03 00 00 00 03 05 CB\n< 03 06 00\n");
    answer = answer_of(OUTCOME_TIMEOUT, NULL, 0);
    expect_text(TRANSPORT_RTU, &answer, "> 01 03 00 00 00 03 05 CB\n< timeout\n");
}

static void tcp_looks_like_rtu(void **state)
{
    (void)state;
    static const uint8_t mbap[] = {0, 9, 0, 0, 0, 9};
    uint8_t frame[sizeof mbap + sizeof tilt_answer - 2];
    memcpy(frame, mbap, sizeof mbap);
    memcpy(frame + sizeof mbap, tilt_answer, sizeof tilt_answer - 2);
    struct probe_answer answer = answer_of(OUTCOME_OK, frame, sizeof frame);
    expect_text(TRANSPORT_TCP, &answer,
                "> 01 03 00 00 00 03 05 CB\n< 01 03 06 00 7D FF DD 00 05 2D 52\n");
    static const uint8_t refusal[] = {0, 9, 0, 0, 0, 3, 1, 0x83, 2};
    answer = answer_of(OUTCOME_EXCEPTION, refusal, sizeof refusal);
    expect_text(TRANSPORT_TCP, &answer, "> 01 03 00 00 00 03 05 CB\n< 01 83 02 C0 F1\n");
    answer = answer_of(OUTCOME_GARBLED, refusal, sizeof refusal);
    expect_text(TRANSPORT_TCP, &answer,
                "> 01 03 00 00 00 03 05 CB\n< 00 09 00 00 00 03 01 83 02\n");
}

/* The longest frame there is must survive both ways, over TCP too. */
static void the_longest_frame(void **state)
{
    (void)state;
    uint8_t frame[PROBE_FRAME_MAX];
    memset(frame, 0xA5, sizeof frame);
    struct probe_answer answer = answer_of(OUTCOME_OK, frame, sizeof frame);
    memset(answer.heard, 0x5A, sizeof answer.heard);
    answer.heard_length = sizeof answer.heard;
    for (unsigned kind = TRANSPORT_RTU; kind <= TRANSPORT_RTU_OVER_TCP; kind++) {
        struct transcript transcript;
        char why[100];
        char *text = written((enum transport_kind)kind, &answer);
        assert_true(transcript_parse(&transcript, text, why, sizeof why));
        assert_int_equal(transcript.count, 1);
        assert_int_equal(transcript.exchanges[0].answer_length,
                         kind == TRANSPORT_TCP ? PROBE_FRAME_MAX - 4 : PROBE_FRAME_MAX);
        transcript_free(&transcript);
        free(text);
    }
}

static void the_newest_answer_counts(void **state)
{
    (void)state;
    struct transcript transcript;
    char why[100];
    assert_true(transcript_parse(&transcript,
                                 "# a comment\n\n> 01 03 00 00 00 03 05 CB\n< timeout\n"
                                 "> 01 03 00 00 00 03 05 cb\n< 01 02\n< 03 04\n"
                                 "> 02 03 00 00 00 03 05 F8\n< garbled",
                                 why, sizeof why));
    assert_int_equal(transcript.count, 3);
    const struct transcript_exchange *found = transcript_find(&transcript, tilt_request);
    assert_non_null(found);
    assert_int_equal(found->answer_length, 2);
    assert_int_equal(found->answer[1], 2);
    static const uint8_t never[TRANSCRIPT_REQUEST_LENGTH] = {9};
    assert_null(transcript_find(&transcript, never));
    transcript_free(&transcript);
}

static void what_is_no_transcript(void **state)
{
    (void)state;
#define ASKED "> 01 03 00 00 00 03 05 CB\n"
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"< 01 02\n", "line 1: an answer before the first question"},
        {ASKED, "line 1: the last question has no answer"},
        {ASKED ASKED "< timeout\n", "line 2: the question before has no answer"},
        {"> 01 03 00 00 00 03 05\n< timeout\n", "line 1: a question is eight bytes"},
        {"> 01 03 00 00 00 03 05 CB 00\n< timeout\n", "line 1: a question is eight bytes"},
        {">01 03 00 00 00 03 05 CB\n< timeout\n", "line 1: a question is eight bytes"},
        {"> 01  03 00 00 00 03 05 CB\n< timeout\n", "line 1: a question is eight bytes"},
        {">\n", "line 1: a question is eight bytes"},
        {ASKED "<\n", "line 2: an answer is bytes"},
        {ASKED "< \n", "line 2: an answer is bytes"},
        {ASKED "< 0\n", "line 2: an answer is bytes"},
        {ASKED "< 0g\n", "line 2: an answer is bytes"},
        {ASKED "< 01 02 \n", "line 2: an answer is bytes"},
        {ASKED "< timeout \n", "line 2: an answer is bytes"},
        {ASKED "< time\n", "line 2: an answer is bytes"},
        {ASKED "< 01\r\n", "line 2: an answer is bytes"},
        {"hello\n", "line 1: a line begins with"},
        {" # x\n", "line 1: a line begins with"},
        {"# x\n\xff\n", "line 2: a line begins with"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transcript transcript;
        char why[120] = "";
        if (transcript_parse(&transcript, cases[i].text, why, sizeof why))
            fail_msg("\"%s\" is taken", cases[i].text);
        if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("\"%s\": %s", cases[i].text, why);
        assert_int_equal(transcript.count, 0);
    }
    struct transcript nothing;
    char why[120];
    assert_true(transcript_parse(&nothing, "", why, sizeof why));
    assert_int_equal(nothing.count, 0);
    transcript_free(&nothing);
}

static void a_line_that_is_too_long(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        bool taken;
    } cases[] = {{PROBE_FRAME_MAX, true},
                 {PROBE_FRAME_MAX + 1, false},
                 {PROBE_HEARD_MAX, false},
                 {PROBE_HEARD_MAX + 1, false},
                 {5000, false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transcript transcript;
        char why[100], *text = NULL;
        size_t length;
        FILE *stream = open_memstream(&text, &length);
        fputs(ASKED "<", stream);
        for (size_t b = 0; b < cases[i].bytes; b++)
            fputs(" 5A", stream);
        assert_int_equal(fclose(stream), 0);
        assert_int_equal(transcript_parse(&transcript, text, why, sizeof why), cases[i].taken);
        transcript_free(&transcript);
        free(text);
    }
}

static void random_text_does_no_harm(void **state)
{
    (void)state;
    static const char good[] =
        "# line rtu 9600 8N1\n" ASKED "< 01 03 02 00 05 11 86\n< AB\n" ASKED "< timeout\n";
    static const char bytes[] = "0123456789aFgz<># \n\r\xe5";
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("SEED=%u\n", seed);
    size_t taken = 0;
    for (int turn = 0; turn < 20000; turn++) {
        char text[sizeof good];
        struct transcript transcript;
        char why[100];
        memcpy(text, good, sizeof good);
        for (int changes = rand_r(&seed) % 4; changes >= 0; changes--)
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
                bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        if (rand_r(&seed) % 4 == 0)
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] = '\0';
        if (!transcript_parse(&transcript, text, why, sizeof why))
            continue;
        taken++;
        for (size_t i = 0; i < transcript.count; i++)
            assert_non_null(transcript_find(&transcript, transcript.exchanges[i].request));
        transcript_free(&transcript);
    }
    assert_in_range(taken, 100, 19900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_written_as_they_came),
        cmocka_unit_test(tcp_looks_like_rtu),
        cmocka_unit_test(the_longest_frame),
        cmocka_unit_test(the_newest_answer_counts),
        cmocka_unit_test(what_is_no_transcript),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(random_text_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

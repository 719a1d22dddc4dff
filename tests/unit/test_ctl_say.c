/* The two languages of lifelinectl: which one it is, and that no text lacks its Chinese.
 *
 * The latter is read in the sources: English prose, and whatever is given to what prints, has a
 * Chinese text right before it. Names that stand in JSON are taken from the functions that write
 * them there; refusals from the daemon's sources. */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>

#include "drivers/transport.h"
#include "gateway/api/internal.h"
#include "gateway/ctl/doubts.h"
#include "proto/names.h"
#include "tests/unit/ctl_shown.h"

enum { TOKENS_MAX = 20000, TEXT_MAX = 2000, NUMBERS = 100 };

/* ---- which language ---- */

static bool chinese_in(const char *all, const char *messages, const char *lang)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *const values[] = {all, messages, lang};
    for (size_t i = 0; i < 3; i++) {
        if (values[i])
            setenv(names[i], values[i], 1);
        else
            unsetenv(names[i]);
    }
    say_begin();
    return say_is_chinese();
}

static void the_environment_decides(void **state)
{
    (void)state;
    assert_false(chinese_in(NULL, NULL, NULL));
    assert_true(chinese_in(NULL, NULL, "zh_CN.UTF-8"));
    assert_true(chinese_in(NULL, "zh_CN", "en_GB.UTF-8"));
    assert_false(chinese_in(NULL, "C", "zh_CN.UTF-8"));
    assert_true(chinese_in("zh_TW.UTF-8", "C", "C"));
    assert_false(chinese_in("C", "zh_CN", "zh_CN"));
    assert_true(chinese_in("", "", "zh_CN")); /* empty is not given */
    assert_true(chinese_in("zh", NULL, NULL));
    assert_true(chinese_in("zh-Hans", NULL, NULL));
    assert_false(chinese_in("zha_CN", NULL, NULL));
    assert_false(chinese_in("z", NULL, NULL));
    assert_string_equal(say("中", "en"), "en");
    shown_in("zh_CN");
    assert_string_equal(say("中", "en"), "中");
    assert_string_equal(say_words((struct words){"中", "en"}), "中");
}

/* ---- names ---- */

static bool has_han(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0xe4 && (unsigned char)*text <= 0xe9)
            return true;
    }
    return false;
}

static void has_chinese(const char *name)
{
    shown_in("zh_CN");
    if (!has_han(say_name(name)))
        fail_msg("no Chinese for %s", name);
    shown_in("C");
    assert_string_equal(say_name(name), name);
}

static void every_name_has_its_chinese(void **state)
{
    (void)state;
    for (int i = 0; i < NUMBERS; i++) { /* those without a name are "unknown" */
        has_chinese(names_sector((enum sector)i));
        has_chinese(names_quality((enum quality)i));
        has_chinese(names_clock_state((enum clock_state)i));
        has_chinese(names_level((enum level)i));
        has_chinese(names_alarm_kind((enum alarm_kind)i));
        has_chinese(names_alarm_status((enum alarm_status)i));
        has_chinese(transport_outcome_name((enum outcome)i));
        has_chinese(status_store_mode((enum store_mode)i));
    }
    shown_in("zh_CN");
    assert_string_equal(say_name("nobody knows"), "nobody knows");
    assert_string_equal(say_errno(ENOENT), "文件不存在");
    assert_string_equal(say_errno(ENOTTY), strerror(ENOTTY));
}

static void reasons_are_said_as_far_as_they_are_known(void **state)
{
    char out[48];
    (void)state;
    shown_in("zh_CN");
    assert_string_equal(say_reason("Connection refused", out, sizeof out), "连接被拒绝");
    assert_string_equal(say_reason("a port 502: b: No route to host", out, sizeof out),
                        "a port 502: b：主机不可达");
    assert_string_equal(say_reason("cannot read /a: Permission denied", out, sizeof out),
                        "无法读取 /a：权限不足");
    assert_string_equal(say_reason("/a is in use by process 7 (b)", out, sizeof out),
                        "/a 正被占用：进程 7 (b)");
    assert_string_equal(say_reason("nobody: knows", out, sizeof out), "nobody: knows");
    assert_string_equal(say_reason("", out, sizeof out), "");
    assert_string_equal(say_reason("longer than there is room for it here", out, 8), "longer ");
    static const int usual[] = {ENOENT,       ENODEV,    ENXIO,      EACCES,       EPERM,
                                EISDIR,       ENOTDIR,   ENOSPC,     ENAMETOOLONG, EEXIST,
                                EROFS,        EIO,       EBUSY,      ENOMEM,       EPIPE,
                                ECONNREFUSED, ETIMEDOUT, ECONNRESET, EHOSTUNREACH, ENETUNREACH};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        assert_true(has_han(say_errno(usual[i])));
    shown_in("C");
    assert_string_equal(say_reason("a: Connection refused", out, sizeof out),
                        "a: Connection refused");
}

static void an_error_fits_a_terminal(void **state)
{
    (void)state;
    shown_in("zh_CN");
    shown_catch(STDERR_FILENO);
    say_error(say("%s 处没有守护进程：%s", "no daemon at %s: %s"), "/run/lifeline/api.sock",
              "连接被拒绝");
    say_error("%s", "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三四，五六");
    say_error("%s", "a b");
    assert_string_equal(shown_release(),
                        "lifelinectl: /run/lifeline/api.sock 处没有守护进程：连接被拒绝\n"
                        "lifelinectl: "
                        "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三\n"
                        "    四，五六\n"
                        "lifelinectl: a b\n");
    shown_fits();
}

/* ---- the sources ---- */

/* A literal with what it is joined to, a word, or another character. */
struct token {
    char kind; /* '"', 'a' for a word, else the character */
    int line;
    char text[TEXT_MAX];
};

static struct token *tokens;
static size_t token_count;
static char *source;

static void add(char kind, int line, const char *text, size_t length)
{
    struct token *last = token_count ? &tokens[token_count - 1] : NULL;
    if (kind == '"' && last && last->kind == '"') {
        size_t used = strlen(last->text);
        snprintf(last->text + used, TEXT_MAX - used, "%.*s", (int)length, text);
        return;
    }
    assert_true(token_count < TOKENS_MAX);
    tokens[token_count] = (struct token){.kind = kind, .line = line};
    snprintf(tokens[token_count++].text, TEXT_MAX, "%.*s", (int)length, text);
}

/* A macro within a text is part of it: what it stands for is the same in both languages. */
static bool is_joined(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isupper((unsigned char)word[i]) && word[i] != '_' && !isdigit((unsigned char)word[i]))
            return word[0] == 'P' && word[1] == 'R'; /* PRId64 */
    }
    return token_count > 0 && tokens[token_count - 1].kind == '"';
}

static void tokenize(const char *text)
{
    int line = 1;
    token_count = 0;
    for (const char *at = text; *at;) {
        const char *from = at;
        size_t word = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        if (*at == '\n') {
            line++;
            at++;
        } else if (*at == '#' && (at == text || at[-1] == '\n')) {
            at += strcspn(at, "\n");
        } else if (strncmp(at, "/*", 2) == 0) {
            for (at += 2; *at && strncmp(at, "*/", 2) != 0; at++)
                line += *at == '\n';
            at += *at ? 2 : 0;
        } else if (*at == '"' || *at == '\'') {
            for (at++; *at && *at != *from; at++)
                at += *at == '\\';
            at++;
            if (*from == '"')
                add('"', line, from + 1, (size_t)(at - from) - 2);
        } else if (word) {
            if (!is_joined(at, word))
                add('a', line, at, word);
            at += word;
        } else {
            if (!isspace((unsigned char)*at))
                add(*at, line, at, 1);
            at++;
        }
    }
}

/* The literal without its escapes and conversions. */
static void plain(const char *text, char out[TEXT_MAX])
{
    size_t length = 0;
    while (*text && length < TEXT_MAX - 1) {
        if (*text == '\\' && text[1]) {
            text += text[1] == '0' ? strspn(text + 1, "0123456789[K") + 1 : 2;
        } else if (*text == '%') {
            text += 1 + strspn(text + 1, "-+ #0123456789.*hlzjt");
            text += *text != '\0';
        } else {
            out[length++] = *text++;
        }
    }
    out[length] = '\0';
}

static bool has_letters(const char *text)
{
    char words[TEXT_MAX];
    plain(text, words);
    return strpbrk(words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/* Two words of two letters with a blank between them. */
static bool is_prose(const char *text)
{
    char words[TEXT_MAX];
    plain(text, words);
    for (const char *at = strchr(words, ' '); at; at = strchr(at + 1, ' ')) {
        const char *before = at > words && strchr(",:;", at[-1]) ? at - 1 : at;
        if (before - words >= 2 && isalpha((unsigned char)before[-1]) &&
            isalpha((unsigned char)before[-2]) && isalpha((unsigned char)at[1]) &&
            isalpha((unsigned char)at[2]))
            return true;
    }
    return false;
}

/* Transcripts, CSV and configurations are files of their own format; paths, options and orders to
 * the terminal have no other name; the one sentence has its Chinese beside it, with a reason that
 * is worded twice. */
static bool is_no_text(const char *text)
{
    static const char *const patterns[] = {
        "# *",
        "time,point,value,unit,quality",
        "%s,",
        ",%s,",
        ",%s\\n",
        "/v1/*",
        "/read",
        "[?]point=",
        "&point=",
        "&note=",
        "&device=",
        "level=%s&",
        "sector=",
        "http:*",
        "    --*",
        "-c, --config FILE",
        "lifelinectl: %s",
        "lifelinectl ",
        "  lifelinectl *",
        "  systemctl *",
        /* a configuration that setup writes */
        "\\\\x%02x",
        "  - { *",
        "%s  - { *",
        ", port: %u",
        ", serial: %s",
        "\\n[a-z]*:\\n*",
        "\\n# *",
        "%slifelinectl [[]--format text|json] [[]--socket PATH] %s ...\\n\\n",
        "%slifelinectl %s %s\\n",
        "\\033[[]0m",
        "%s: %s does not fit (%s)",
        /* what brokers and the daemon say, for doctor to look for */
        "[Bb]ad [Uu]ser [Nn]ame or [Pp]assword",
        "[Nn]ot authori[sz]ed",
        "Session taken over",
        "in use twice",
        "identifier rejected",
        "Client Identifier not valid",
        "TLS: the broker says",
        "has acknowledged nothing",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (fnmatch(patterns[i], text, FNM_NOESCAPE) == 0)
            return true;
    }
    return false;
}

static bool prints(const char *word)
{
    static const char *const words[] = {"text_line", "text_cut", "text_fold", "say_error", "printf",
                                        "fprintf",   "fputs",    "puts",      "add"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    return false;
}

/* The call of which the literal is an argument without a call of its own; "" when there is none. */
static const char *call_of(size_t literal)
{
    int depth = 0;
    for (size_t i = literal; i-- > 0 && !strchr(";{}", tokens[i].kind);) {
        depth += tokens[i].kind == ')' ? 1 : tokens[i].kind == '(' ? -1 : 0;
        if (depth < 0)
            return i > 0 && tokens[i - 1].kind == 'a' ? tokens[i - 1].text : "";
    }
    return "";
}

static int faults;

static void look_at(const char *file, size_t i)
{
    const char *text = tokens[i].text;
    bool second = i >= 2 && tokens[i - 1].kind == ',' && tokens[i - 2].kind == '"';
    bool first = i + 2 < token_count && tokens[i + 1].kind == ',' && tokens[i + 2].kind == '"';
    const char *call = call_of(i), *why = NULL;
    if (has_han(text) || is_no_text(text))
        return;
    if (is_prose(text) && !(second && has_han(tokens[i - 2].text)))
        why = "English without its Chinese";
    else if (prints(call) && has_letters(text))
        why = "printed as it stands";
    else if (strcmp(call, "say") == 0 && first && has_letters(text) && strcmp(text, "zh") != 0 &&
             !(second && has_han(tokens[i - 2].text)) && strcmp(text, "advice_zh") != 0 &&
             strcmp(text, "why_zh") != 0)
        why = "Chinese without Chinese";
    if (why) {
        if (file)
            print_message("%s:%d: %s: \"%s\"\n", file, tokens[i].line, why, text);
        faults++;
    }
}

static void read_source(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    source = calloc(1, 1 << 20);
    assert_non_null(source);
    assert_in_range(fread(source, 1, (1 << 20) - 1, file), 1, (1 << 20) - 2);
    fclose(file);
    tokenize(source);
    free(source);
}

static void no_text_lacks_its_chinese(void **state)
{
    glob_t found;
    (void)state;
    faults = 0;
    assert_int_equal(glob(SOURCE_DIR "/gateway/ctl/*.c", 0, NULL, &found), 0);
    assert_true(found.gl_pathc > 10);
    for (size_t f = 0; f < found.gl_pathc; f++) {
        read_source(found.gl_pathv[f]);
        for (size_t i = 0; i < token_count; i++) {
            if (tokens[i].kind == '"')
                look_at(found.gl_pathv[f] + sizeof SOURCE_DIR, i);
        }
    }
    globfree(&found);
    assert_int_equal(faults, 0);
}

/* What the scanner must find, and what it must leave alone. */
static void the_scanner_sees(void **state)
{
    static const struct {
        const char *text;
        int faults;
    } cases[] = {
        {"f(\"no such line\");", 1},
        {"f(\"没有\", \"no such line\");", 0},
        {"/* \"no such line\" */ f('\"', \"a\");", 0},
        {"say(\"no\", \"no such line\");", 2},
        {"say(\"open\", \"open\");", 1},
        {"text_line(\"open\");", 1},
        {"text_line(\"%s: %lld\", text_of(x, \"open\"));", 0},
        {"text_line(say(\"开 %s\", \"open %s\"), text_of(x, \"open\"));", 0},
        {"f(\"没有\" X \"或\", \"no such\" X \"line\");", 0},
        {"text_line(\"%s, open\", x);", 1},
        {"fputs(\"oops\\n\", stderr);", 1},
        {"{\"状态\", \"state of it\"}", 0},
        {"{NULL, \"state of it\"}", 1},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        faults = 0;
        tokenize(cases[c].text);
        for (size_t i = 0; i < token_count; i++) {
            if (tokens[i].kind == '"')
                look_at(NULL, i);
        }
        if (faults != cases[c].faults)
            fail_msg("%zu: %s: %d", c, cases[c].text, faults);
    }
}

/* A client that gets these has asked what lifelinectl never asks. */
static bool is_for_programs(const char *text)
{
    return strncmp(text, "malformed", 9) == 0 || strncmp(text, "since_ms", 8) == 0 ||
           strcmp(text, "this path has another method") == 0;
}

static void every_refusal_has_its_chinese(void **state)
{
    glob_t found;
    size_t refusals = 0;
    (void)state;
    assert_int_equal(glob(SOURCE_DIR "/gateway/api/*.c", 0, NULL, &found), 0);
    for (size_t f = 0; f < found.gl_pathc; f++) {
        read_source(found.gl_pathv[f]);
        for (size_t i = 0; i < token_count; i++) {
            if (tokens[i].kind != '"' || strcmp(call_of(i), "api_error") != 0 ||
                is_for_programs(tokens[i].text))
                continue;
            has_chinese(tokens[i].text);
            refusals++;
        }
    }
    globfree(&found);
    assert_true(refusals > 8);
}

/* Each conversion of a format as "12"; a %s at its end is one of the phrases it may be. */
static void sample_of(const char *format, char *out, size_t size)
{
    size_t used = 0;
    for (; *format && used + 3 < size; format++) {
        if (*format != '%') {
            out[used++] = *format;
        } else if (format[1] == '%') {
            out[used++] = *format++;
        } else {
            format += strcspn(format, "sdufz") + (format[strcspn(format, "sdufz")] == 'z');
            out[used++] = '1';
            out[used++] = '2';
        }
    }
    out[used] = '\0';
}

static void every_doubt_has_its_chinese(void **state)
{
    char sample[300], said[400];
    size_t doubts = 0;
    (void)state;
    assert_int_equal(setenv("LC_ALL", "zh_CN.UTF-8", 1), 0);
    say_begin();
    read_source(SOURCE_DIR "/gateway/flow/runoff_report.c");
    for (size_t i = 0; i < token_count; i++) {
        if (tokens[i].kind != '"' || strcmp(call_of(i), "doubt") != 0 ||
            !strchr(tokens[i].text, ' '))
            continue;
        sample_of(tokens[i].text, sample, sizeof sample);
        size_t length = strlen(sample);
        if (strncmp(sample, "captured is 12:", 15) == 0)
            snprintf(sample + length - 2, sizeof sample - length + 2, "more flowed out than fell");
        else if (strstr(sample, "of the event12"))
            sample[length - 2] = '\0';
        if (strncmp(sample, "more flowed", 11) == 0 || strncmp(sample, ": too little", 12) == 0)
            continue; /* a phrase of another sentence */
        const char *chinese = doubts_say(sample, said, sizeof said);
        if (!has_han(chinese))
            fail_msg("no Chinese for the doubt \"%s\"", sample);
        doubts++;
    }
    assert_true(doubts > 20);
    assert_string_equal(doubts_say("rain was measured for 61 % of the event", said, sizeof said),
                        "雨量覆盖仅为本场的 61 %");
    assert_string_equal(
        doubts_say("partial: 1 of 3 outlets are gauged, the captured share is at most this: a b",
                   said, sizeof said),
        "不完整：1 / 3 个排口有计量，控制率至多为此： a b");
    assert_string_equal(doubts_say("something else", said, sizeof said), "something else");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_decides),
        cmocka_unit_test(every_name_has_its_chinese),
        cmocka_unit_test(reasons_are_said_as_far_as_they_are_known),
        cmocka_unit_test(an_error_fits_a_terminal),
        cmocka_unit_test(no_text_lacks_its_chinese),
        cmocka_unit_test(the_scanner_sees),
        cmocka_unit_test(every_refusal_has_its_chinese),
        cmocka_unit_test(every_doubt_has_its_chinese),
    };
    tokens = calloc(TOKENS_MAX, sizeof *tokens);
    int failed = tokens ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(tokens);
    return failed;
}

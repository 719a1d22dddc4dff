/* What `lifelinectl setup` has to know: taken from the options, or asked at the terminal.
 *
 * One thread. What an option gives is not asked; without a terminal nothing is asked, and all that
 * is missing is told at once. Each answer is tried when it is typed, by the configuration's own
 * parser, and asked for again until it is right. Owns the terminal's echo. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "gateway/ctl/commission.h"
#include "gateway/ctl/text.h"
#include "gateway/uplink/secret.h"

/* ---- the terminal ---- */

/* One line without its end, to be freed; NULL at the end of the input. */
static char *read_answer(void)
{
    char *line = NULL;
    size_t size = 0;
    if (getline(&line, &size, stdin) < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static char *ask(const char *question)
{
    fprintf(stderr, say("%s：", "%s: "), question);
    fflush(stderr);
    return read_answer();
}

static void wake(int number)
{
    (void)number;
}

/* Ctrl-C ends the program only when the terminal shows again what is typed. */
static char *ask_in_silence(const char *question)
{
    const struct sigaction waking = {.sa_handler = wake};
    struct sigaction before;
    struct termios shown, hidden;
    bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    sigaction(SIGINT, &waking, &before);
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    errno = 0;
    char *answer = ask(question);
    bool interrupted = !answer && errno == EINTR;
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    sigaction(SIGINT, &before, NULL);
    fputc('\n', stderr);
    if (interrupted)
        raise(SIGINT);
    return answer;
}

/* What a Chinese keyboard types for an ASCII character, 0 for none: U+3000, U+3002 and U+FF01 to
 * U+FF5E, each three bytes. */
static char narrow(const unsigned char *at)
{
    if (at[0] == 0xe3 && at[1] == 0x80 && (at[2] == 0x80 || at[2] == 0x82))
        return at[2] == 0x80 ? ' ' : '.';
    if (at[0] != 0xef || (at[1] != 0xbc && at[1] != 0xbd))
        return 0;
    int code = (at[1] - 0xbc) * 0x40 + (at[2] - 0x80) + ' ';
    return at[2] >= 0x80 && at[2] < 0xc0 && code > ' ' && code < 0x7f ? (char)code : 0;
}

static void make_plain(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        char plain = narrow((const unsigned char *)from);
        *to = plain ? plain : *from;
        from += plain ? 3 : 1;
    }
    *to = '\0';
}

static void trim(char *text)
{
    static const char blank[] = " \t";
    size_t begin = strspn(text, blank), length = strlen(text + begin);
    while (length && strchr(blank, text[begin + length - 1]))
        length--;
    memmove(text, text + begin, length);
    text[length] = '\0';
}

const char *commission_ask_model(const struct commission *commission, const char *question,
                                 const struct probe_models *models)
{
    const char *chosen = NULL;
    for (size_t i = 0; commission->asks && i < models->count; i++) {
        json_t *report = probe_report_model(&models->fits[i]);
        json_t *values = probe_text_values(json_object_get(report, "values"));
        char *line = NULL;
        if (asprintf(&line, say("  %zu  %s：%s", "  %zu  %s: %s"), i + 1,
                     models->fits[i].profile->name, json_string_value(values)) >= 0)
            text_fold(stderr, line, 5);
        free(line);
        json_decref(values);
        json_decref(report);
    }
    while (commission->asks && !chosen) {
        char *end, *answer = ask(question);
        if (answer) {
            make_plain(answer);
            trim(answer);
        }
        if (!answer || !answer[0]) {
            free(answer);
            break;
        }
        unsigned long number = strtoul(answer, &end, 10);
        for (size_t i = 0; i < models->count; i++) {
            if ((number == i + 1 && !*end) || strcmp(answer, models->fits[i].profile->name) == 0)
                chosen = models->fits[i].profile->name;
        }
        if (!chosen)
            say_error(say("%s：不在其中", "%s: none of these"), answer);
        free(answer);
    }
    return chosen;
}

/* ---- what there is to know ---- */

/* How an answer is read. */
enum form {
    FORM_WORD,  /* ASCII only */
    FORM_TEXT,  /* as it was typed */
    FORM_FILE,  /* likewise, and one that can be read */
    FORM_LINES, /* has a name and a place of its own; the others have theirs in struct ctl */
};

static const struct fact {
    const char *option;
    bool required;
    enum form form;
    size_t given, kept; /* where the option puts it in struct ctl, and where it is kept here */
    struct words question;
} facts[] = {
#define FACT(given, kept) offsetof(struct ctl, given), offsetof(struct commission, kept)
    {"id",
     true,
     FORM_WORD,
     FACT(id, id),
     {"网关编号，全市唯一，如 gw-140502-0001",
      "id of the gateway, unique in the city, like gw-140502-0001"}},
    {"region",
     true,
     FORM_WORD,
     FACT(region, region),
     {"区县代码（GB/T 2260），如 140502", "GB/T 2260 code of the district, like 140502"}},
    {"name",
     false,
     FORM_TEXT,
     FACT(name, name),
     {"名称（可空）", "what people call it (may be empty)"}},
    {"line",
     true,
     FORM_LINES,
     0,
     0,
     {"线路，如 /dev/ttyS1 或 tcp://192.168.1.10",
      "a line, like /dev/ttyS1 or tcp://192.168.1.10"}},
    {"broker",
     true,
     FORM_WORD,
     FACT(broker.url, url),
     {"消息服务器，如 mqtts://broker.example:8883",
      "the broker, like mqtts://broker.example:8883"}},
    {"ca",
     true,
     FORM_FILE,
     FACT(broker.ca, ca),
     {"签发服务器证书的 CA 文件", "file with the certificate of the broker's authority"}},
    {"username",
     false,
     FORM_TEXT,
     FACT(broker.username, username),
     {"用户名（可空）", "user name (may be empty)"}},
#undef FACT
};

enum { FACTS = sizeof facts / sizeof *facts };

static const struct fact another_line = {
    .option = "line",
    .form = FORM_LINES,
    .question = {"还有一条线路（可空）", "another line (may be empty)"}};

static const char *given(const struct commission *commission, const struct fact *fact)
{
    return fact->form == FORM_LINES
               ? NULL
               : *(const char *const *)((const char *)commission->ctl + fact->given);
}

static bool is_known(const struct commission *commission, const struct fact *fact)
{
    return fact->form == FORM_LINES ? commission->line_count > 0 : given(commission, fact) != NULL;
}

static bool is_wanted(const struct commission *commission, const struct fact *fact)
{
    return strcmp(fact->option, "ca") != 0 || commission_is_tls(commission);
}

static bool is_readable(const char *path, char *why, size_t why_size)
{
    if (access(path, R_OK) == 0)
        return true;
    snprintf(why, why_size, say("%s：%s", "%s: %s"), path, say_errno(errno));
    return false;
}

/* True when the parser of the configuration takes what is known so far. */
static bool is_right(const struct commission *commission, char *why, size_t why_size)
{
    struct setup setup;
    if (!commission_try(commission, &setup, why, why_size))
        return false;
    setup_free(&setup);
    return true;
}

/* False with why; then nothing is taken. */
static bool take(struct commission *commission, const struct fact *fact, const char *text,
                 char *why, size_t why_size)
{
    if (fact->form == FORM_LINES) {
        if (!commission_add_line(commission, text, why, why_size))
            return false;
        bool right = is_right(commission, why, why_size);
        commission->line_count -= !right;
        return right;
    }
    const char **kept = (const char **)((char *)commission + fact->kept), *before = *kept;
    *kept = text;
    bool right = (fact->form != FORM_FILE || is_readable(text, why, why_size)) &&
                 is_right(commission, why, why_size);
    if (!right)
        *kept = before;
    return right;
}

/* Asks until the answer is right; false at the end of the input. An answer is kept for as long as
 * the program runs, but for a line's, which is copied. */
static bool ask_fact(struct commission *commission, const struct fact *fact)
{
    char why[COMMISSION_WHY_MAX];
    for (;;) {
        char *answer = ask(say_words(fact->question));
        if (!answer)
            return false;
        if (fact->form == FORM_WORD || fact->form == FORM_LINES)
            make_plain(answer);
        trim(answer);
        bool empty = !answer[0] && !fact->required;
        bool right = !empty && take(commission, fact, answer, why, sizeof why);
        if (!empty && !right)
            say_error("%s", why);
        if (!right || fact->form == FORM_LINES)
            free(answer);
        if (empty || right)
            return true;
    }
}

/* A cabinet has one line or several. */
static bool ask_lines(struct commission *commission, const struct fact *first)
{
    bool goes_on = ask_fact(commission, first);
    for (size_t had = 0; goes_on && commission->line_count > had;) {
        had = commission->line_count;
        goes_on = had == COMMISSION_LINES_MAX || ask_fact(commission, &another_line);
    }
    return goes_on;
}

/* Never shown, never asked twice; written when all is known. False at the end of the input. */
static bool ask_password(struct commission *commission)
{
    static char path[COMMISSION_PATH_MAX];
    char why[COMMISSION_WHY_MAX];
    if (!commission->username || commission->password_file)
        return true;
    for (;;) {
        char *password = ask_in_silence(say("密码（可空）", "password (may be empty)"));
        if (!password)
            return false;
        if (!password[0]) {
            free(password);
            return true;
        }
        snprintf(why, sizeof why, "%s", say("密码太长", "the password is too long"));
        if (strlen(password) <= SECRET_MAX &&
            commission_secret_path(commission, "city", path, why, sizeof why)) {
            commission->password_file = path;
            commission->password = password;
            return true;
        }
        explicit_bzero(password, strlen(password));
        free(password);
        say_error("%s", why);
    }
}

/* ---- options ---- */

static void refuse(const char *option, const char *why)
{
    say_error(say("选项 --%s：%s", "option --%s: %s"), option, why);
}

static bool take_options(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    const struct ctl *ctl = commission->ctl;
    if (ctl->broker.password_file && !is_readable(ctl->broker.password_file, why, sizeof why)) {
        refuse("password-file", why);
        return false;
    }
    for (size_t f = 0; f < FACTS; f++) {
        const char *text = given(commission, &facts[f]);
        if (!text)
            continue;
        if (facts[f].form == FORM_FILE && !is_readable(text, why, sizeof why)) {
            refuse(facts[f].option, why);
            return false;
        }
        *(const char **)((char *)commission + facts[f].kept) = text;
    }
    for (size_t l = 0; l < ctl->line.count; l++) {
        if (!commission_add_line(commission, ctl->line.words[l], why, sizeof why)) {
            refuse("line", why);
            return false;
        }
    }
    commission->password_file = ctl->broker.password_file;
    return true;
}

/* Without a terminal: all that is missing, at once. */
static bool is_whole(const struct commission *commission)
{
    char missing[100] = "";
    for (size_t f = 0; f < FACTS; f++) {
        size_t used = strlen(missing);
        if (facts[f].required && is_wanted(commission, &facts[f]) &&
            !is_known(commission, &facts[f]))
            snprintf(missing + used, sizeof missing - used, " --%s", facts[f].option);
    }
    if (missing[0])
        say_error(say("缺少%s", "missing:%s"), missing);
    return !missing[0];
}

static bool ask_the_rest(struct commission *commission)
{
    bool goes_on = true;
    for (size_t f = 0; goes_on && f < FACTS; f++) {
        const struct fact *fact = &facts[f];
        if (is_known(commission, fact) || !is_wanted(commission, fact))
            continue;
        goes_on =
            fact->form == FORM_LINES ? ask_lines(commission, fact) : ask_fact(commission, fact);
    }
    goes_on = goes_on && ask_password(commission);
    if (!goes_on) {
        fputc('\n', stderr);
        say_error("%s", say("输入已结束，未写任何配置", "the input ended: nothing is written"));
    }
    return goes_on;
}

bool commission_gather(struct commission *commission)
{
    char why[COMMISSION_WHY_MAX];
    if (!take_options(commission) || (!commission->asks && !is_whole(commission)))
        return false;
    if (is_right(commission, why, sizeof why))
        return !commission->asks || ask_the_rest(commission);
    say_error("%s", why);
    return false;
}

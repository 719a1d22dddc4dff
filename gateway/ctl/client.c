/* HTTP over the unix socket with libcurl.
 *
 * The only thread of lifelinectl. Owns a connection for one call at a time; says on stderr what
 * went wrong and turns it into an exit status: nobody answers = no daemon, not found = usage, any
 * other refusal = a finding. Follows events until a signal says enough. */
#include <stdio.h>

#include "gateway/ctl/client.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 20, TIMEOUT_S = 30, LOOK_MS = 1000 };

static volatile sig_atomic_t enough;

struct exchange {
    const struct ctl *ctl;
    CURL *curl;
    struct client_text got; /* of a stream: the line that is not yet whole */
    char why[CURL_ERROR_SIZE];
    void (*event)(void *context, const json_t *body);
    void (*line)(void *context, const char *line); /* instead of event */
    void *context;
};

void client_escape(FILE *path, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (escaped)
        fputs(escaped, path);
    curl_free(escaped);
}

size_t client_keep(char *bytes, size_t one, size_t count, void *context)
{
    struct client_text *kept = context;
    size_t length = kept->length + one * count;
    char *text = length < ANSWER_MAX ? realloc(kept->text, length + 1) : NULL;
    if (!text)
        return 0;
    memcpy(text + kept->length, bytes, one * count);
    text[length] = '\0';
    *kept = (struct client_text){text, length};
    return one * count;
}

static void hear_line(struct exchange *exchange, const char *line)
{
    static const char data[] = "data: ";
    if (exchange->line) {
        exchange->line(exchange->context, line);
        return;
    }
    if (strncmp(line, data, sizeof data - 1) != 0)
        return;
    json_t *body = json_loads(line + sizeof data - 1, 0, NULL);
    if (body)
        exchange->event(exchange->context, body);
    json_decref(body);
}

/* Hands over the whole lines of a stream. */
static size_t hear(char *bytes, size_t one, size_t count, void *context)
{
    struct exchange *exchange = context;
    long code = 0;
    if (client_keep(bytes, one, count, &exchange->got) == 0)
        return 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return one * count;
    char *line = exchange->got.text, *end;
    while (!enough && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        hear_line(exchange, line);
        line = end + 1;
    }
    exchange->got.length -= (size_t)(line - exchange->got.text);
    memmove(exchange->got.text, line, exchange->got.length + 1);
    return one * count;
}

static enum ctl_exit begin(struct exchange *exchange, const char *path, curl_write_callback take,
                           void *context)
{
    char url[8192];
    if ((size_t)snprintf(url, sizeof url, "http://lifeline%s", path) >= sizeof url) {
        say_error("%s", say("参数过多", "too many arguments"));
        return CTL_USAGE;
    }
    exchange->curl = curl_easy_init();
    if (!exchange->curl) {
        say_error("%s", say("内存不足", "out of memory"));
        return CTL_FINDING;
    }
    curl_easy_setopt(exchange->curl, CURLOPT_UNIX_SOCKET_PATH, exchange->ctl->socket);
    curl_easy_setopt(exchange->curl, CURLOPT_URL, url);
    curl_easy_setopt(exchange->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(exchange->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(exchange->curl, CURLOPT_ERRORBUFFER, exchange->why);
    curl_easy_setopt(exchange->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(exchange->curl, CURLOPT_WRITEDATA, context);
    return CTL_FINE;
}

static void end(struct exchange *exchange)
{
    curl_easy_cleanup(exchange->curl);
    free(exchange->got.text);
}

static enum ctl_exit no_daemon(const struct exchange *exchange, CURLcode result)
{
    long number = 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_OS_ERRNO, &number);
    const char *why = exchange->why[0] ? exchange->why : curl_easy_strerror(result);
    if (result == CURLE_COULDNT_CONNECT && number)
        why = say_errno((int)number);
    else if (result == CURLE_OPERATION_TIMEDOUT)
        why = say("应答超时", "no answer in time");
    say_error(say("%s 处没有守护进程：%s", "no daemon at %s: %s"), exchange->ctl->socket, why);
    return CTL_NO_DAEMON;
}

/* What the daemon made of it; its own words when it refused. */
static enum ctl_exit judge(const struct exchange *exchange, const json_t *body)
{
    long code = 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code == 200)
        return CTL_FINE;
    const char *error = json_string_value(json_object_get(body, "error"));
    if (error)
        say_error("%s", say_name(error));
    else
        say_error(say("守护进程应答 HTTP 状态 %ld", "the daemon answers with HTTP status %ld"),
                  code);
    return code == 404 ? CTL_USAGE : CTL_FINDING;
}

enum ctl_exit client_ask(const struct ctl *ctl, const char *method, const char *path, json_t **body)
{
    struct exchange exchange = {.ctl = ctl};
    *body = NULL;
    enum ctl_exit code = begin(&exchange, path, client_keep, &exchange.got);
    if (code != CTL_FINE)
        goto out;
    curl_easy_setopt(exchange.curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(exchange.curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    CURLcode result = curl_easy_perform(exchange.curl);
    if (result != CURLE_OK) {
        code = no_daemon(&exchange, result);
    } else {
        *body = exchange.got.text ? json_loads(exchange.got.text, 0, NULL) : NULL;
        code = judge(&exchange, *body);
        if (code == CTL_FINE && !*body) {
            say_error(say("%s 的应答不是 JSON", "%s does not speak JSON"), ctl->socket);
            code = CTL_NO_DAEMON;
        }
    }
    if (code != CTL_FINE) {
        json_decref(*body);
        *body = NULL;
    }
out:
    end(&exchange);
    return code;
}

static void on_signal(int number)
{
    (void)number;
    enough = 1;
}

/* True when it was the daemon that ended it. */
static bool follow(CURLM *multi, CURLcode *result)
{
    int running = 1;
    while (!enough && running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        if (running)
            curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL);
    }
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    *result = message ? message->data.result : CURLE_OK;
    return !enough;
}

enum ctl_exit client_follow(const struct ctl *ctl, const char *path,
                            void (*event)(void *context, const json_t *body), void *context)
{
    struct exchange exchange = {.ctl = ctl, .event = event, .context = context};
    const struct sigaction action = {.sa_handler = on_signal};
    CURLcode result;
    CURLM *multi = curl_multi_init();
    enum ctl_exit code = multi ? begin(&exchange, path, hear, &exchange) : CTL_FINDING;
    if (code != CTL_FINE)
        goto out;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    curl_multi_add_handle(multi, exchange.curl);
    if (follow(multi, &result)) {
        json_t *body = exchange.got.text ? json_loads(exchange.got.text, 0, NULL) : NULL;
        code = result == CURLE_OK ? judge(&exchange, body) : no_daemon(&exchange, result);
        json_decref(body);
        if (code == CTL_FINE) {
            say_error("%s", say("守护进程已退出", "the daemon has ended"));
            code = CTL_NO_DAEMON;
        }
    }
    curl_multi_remove_handle(multi, exchange.curl);
out:
    end(&exchange);
    curl_multi_cleanup(multi);
    return code;
}

enum ctl_exit client_lines(const struct ctl *ctl, const char *path,
                           void (*line)(void *context, const char *line), void *context,
                           bool *nobody)
{
    struct exchange exchange = {.ctl = ctl, .line = line, .context = context};
    enum ctl_exit code = begin(&exchange, path, hear, &exchange);
    if (code != CTL_FINE)
        goto out;
    CURLcode result = curl_easy_perform(exchange.curl);
    *nobody = result == CURLE_COULDNT_CONNECT;
    if (*nobody) {
        code = CTL_NO_DAEMON;
    } else if (result != CURLE_OK) {
        code = no_daemon(&exchange, result);
    } else {
        json_t *body = exchange.got.text ? json_loads(exchange.got.text, 0, NULL) : NULL;
        code = judge(&exchange, body);
        json_decref(body);
    }
    if (code == CTL_USAGE)
        code = CTL_FINDING;
out:
    end(&exchange);
    return code;
}

/* lifelinectl: the command line of the gateway, for people and for scripts.
 *
 * One thread. Reads the options, finds the command in its table and the writer of the output
 * format; the rest is the commands' own. A command asks the daemon over its socket or, as `check`
 * and `probe` do, needs none. Writes no file but the transcript that `probe` is asked for. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/commands.h"

static void write_text(const struct command *command, const json_t *result)
{
    command->text(result);
}

static void write_json(const struct command *command, const json_t *result)
{
    (void)command;
    json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
}

static const struct writer writers[] = {{"text", write_text}, {"json", write_json}};

static bool choose_writer(struct ctl *ctl, const char *name)
{
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        if (strcmp(writers[i].name, name) == 0) {
            ctl->writer = &writers[i];
            ctl->form = writers[i].write == write_json ? CTL_JSON_LINES : CTL_TEXT;
            return true;
        }
    }
    say_error(
        say("没有格式 \"%s\"，可用 text 或 json", "no format \"%s\"; there are text and json"),
        name);
    return false;
}

static bool choose_command(struct ctl *ctl, const char *name)
{
    ctl->command = commands_find(name);
    if (!ctl->command)
        say_error(say("没有命令 \"%s\"", "no command \"%s\""), name);
    return ctl->command != NULL;
}

static bool arguments_fit(const struct ctl *ctl)
{
    const struct command *command = ctl->command;
    bool fit = ctl->argument_count >= command->least &&
               (command->most < 0 || ctl->argument_count <= command->most);
    if (!fit)
        commands_usage(stderr, command);
    return fit;
}

enum { BROKER = 256, USERNAME, PASSWORD_FILE, CA, CERT, KEY, ROOT, REGION, GATEWAY };

/* Options whose words are taken as they stand. */
static const struct {
    int option;
    size_t offset;
} words[] = {
    {'s', offsetof(struct ctl, socket)},
    {'c', offsetof(struct ctl, config)},
    {'r', offsetof(struct ctl, record)},
    {'b', offsetof(struct ctl, since)},
    {'u', offsetof(struct ctl, until)},
    {'l', offsetof(struct ctl, level)},
    {'S', offsetof(struct ctl, sector)},
    {'N', offsetof(struct ctl, note)},
    {'x', offsetof(struct ctl, explain)},
    {BROKER, offsetof(struct ctl, broker.url)},
    {USERNAME, offsetof(struct ctl, broker.username)},
    {PASSWORD_FILE, offsetof(struct ctl, broker.password_file)},
    {CA, offsetof(struct ctl, broker.ca)},
    {CERT, offsetof(struct ctl, broker.cert)},
    {KEY, offsetof(struct ctl, broker.key)},
    {ROOT, offsetof(struct ctl, root)},
    {REGION, offsetof(struct ctl, region)},
    {GATEWAY, offsetof(struct ctl, gateway)},
};

/* A word or a switch; false when it is another option. */
static bool take(struct ctl *ctl, int option)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].option == option) {
            memcpy((char *)ctl + words[i].offset, &optarg, sizeof optarg);
            return true;
        }
    }
    if (option == 'n')
        ctl->scan = true;
    else if (option == 'f')
        ctl->follow = true;
    else if (option == 'C')
        ctl->form = CTL_CSV;
    else
        return false;
    return true;
}

/* What getopt would say in English. */
static void refuse(int why, const char *argument)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *option = optopt == 0 || strncmp(argument, "--", 2) == 0 ? argument : letter;
    if (why == ':')
        say_error(say("选项 %s 缺少参数", "option %s needs an argument"), option);
    else
        say_error(say("选项 %s 不存在、不唯一或不带参数",
                      "option %s: there is none, or several, or it takes no argument"),
                  option);
}

/* True to go on; otherwise *code is the exit status. */
static bool parse(struct ctl *ctl, int argc, char **argv, enum ctl_exit *code)
{
    static const struct option known[] = {{"format", required_argument, NULL, 'o'},
                                          {"socket", required_argument, NULL, 's'},
                                          {"profiles", required_argument, NULL, 'p'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"scan", no_argument, NULL, 'n'},
                                          {"record", required_argument, NULL, 'r'},
                                          {"since", required_argument, NULL, 'b'},
                                          {"until", required_argument, NULL, 'u'},
                                          {"explain", required_argument, NULL, 'x'},
                                          {"csv", no_argument, NULL, 'C'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"level", required_argument, NULL, 'l'},
                                          {"sector", required_argument, NULL, 'S'},
                                          {"note", required_argument, NULL, 'N'},
                                          {"broker", required_argument, NULL, BROKER},
                                          {"username", required_argument, NULL, USERNAME},
                                          {"password-file", required_argument, NULL, PASSWORD_FILE},
                                          {"ca", required_argument, NULL, CA},
                                          {"cert", required_argument, NULL, CERT},
                                          {"key", required_argument, NULL, KEY},
                                          {"root", required_argument, NULL, ROOT},
                                          {"region", required_argument, NULL, REGION},
                                          {"gateway", required_argument, NULL, GATEWAY},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {0}};
    int option;
    *code = CTL_USAGE;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:hf", known, NULL)) != -1) {
        if (option == 'o' && choose_writer(ctl, optarg))
            continue;
        if (option == 'j' && choose_writer(ctl, "json"))
            continue;
        if (option == 'p' && setup_path_add(&ctl->profiles, optarg))
            continue;
        if (take(ctl, option))
            continue;
        if (option == 'h' || option == 'v')
            *code = CTL_FINE;
        if (option == 'h')
            commands_help(stdout);
        else if (option == 'v')
            puts("lifelinectl " LIFELINE_VERSION);
        else if (option == '?' || option == ':')
            refuse(option, argv[optind - 1]);
        return false;
    }
    if (optind == argc) {
        commands_help(stderr);
        return false;
    }
    ctl->arguments = argv + optind + 1;
    ctl->argument_count = argc - optind - 1;
    return choose_command(ctl, argv[optind]) && arguments_fit(ctl);
}

int main(int argc, char **argv)
{
    const char *socket = getenv("LIFELINE_SOCKET");
    struct ctl ctl = {.socket = socket && *socket ? socket : COMMANDS_SOCKET,
                      .config = SETUP_CONFIG,
                      .root = "lifeline/v1",
                      .writer = &writers[0]};
    enum ctl_exit code;
    say_begin();
    if (!parse(&ctl, argc, argv, &code))
        return (int)code;
    curl_global_init(CURL_GLOBAL_NOTHING);
    code = ctl.command->run(&ctl);
    curl_global_cleanup();
    return (int)code;
}

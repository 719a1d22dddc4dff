/* lifelinectl: the command line of the gateway, for people and for scripts.
 *
 * One thread. Reads the options (options.c) and runs the command (commands.c); the rest is the
 * commands' own. A command asks the daemon over its socket or, as `check`
 * and `probe` do, needs none. Writes no file but the transcript that `probe` is asked for. */
#include <curl/curl.h>
#include <stdlib.h>

#include "gateway/ctl/commands.h"
#include "gateway/ctl/options.h"

int main(int argc, char **argv)
{
    const char *socket = getenv("LIFELINE_SOCKET");
    struct ctl ctl = {.socket = socket && *socket ? socket : COMMANDS_SOCKET,
                      .config = SETUP_CONFIG,
                      .root = "lifeline/v1"};
    say_begin();
    if (!commands_choose_form(&ctl, "text"))
        return CTL_USAGE;
    enum options_result result = options_parse(&ctl, argc, argv);
    if (result != OPTIONS_RUN)
        return result == OPTIONS_DONE ? CTL_FINE : CTL_USAGE;
    curl_global_init(CURL_GLOBAL_NOTHING);
    enum ctl_exit code = ctl.command->run(&ctl);
    curl_global_cleanup();
    return (int)code;
}

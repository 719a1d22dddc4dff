/* lifelinectl status: how the gateway does, on one screen.
 *
 * Asks the daemon for /v1/status and for the lines with their devices, and lays both out as text or
 * hands them on as one JSON object. Of the devices people see only those that are not well, and
 * why. Owns nothing; the daemon answers, so the exit status is fine whatever it says. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway/ctl/client.h"
#include "gateway/ctl/text.h"
#include "proto/names.h"

enum { SMALL = 32, TROUBLE = 160 };

static void show_gateway(const json_t *gateway)
{
    char uptime[SMALL];
    text_line("%s %s", text_of(gateway, "id"), text_of(gateway, "name"));
    text_line(
        say("区域 %s，lifelined %s，已运行 %s，时钟%s", "region %s, lifelined %s, up %s, clock %s"),
        text_of(gateway, "region"), text_of(gateway, "version"),
        text_age(json_object_get(gateway, "uptime_ms"), uptime, sizeof uptime),
        text_name(gateway, "clock"));
}

/* Whoever the watchdog waits for; normally nobody, and no line. */
static void show_watchdog(const json_t *watchdog)
{
    size_t index;
    const json_t *name;
    json_array_foreach(json_object_get(watchdog, "hanging"), index, name)
    {
        text_line(say("%s 卡死：不再向系统看门狗报告正常",
                      "%s HANGS: the supervisor is no longer told that all is well"),
                  json_string_value(name));
    }
}

/* How long the card will last, and what that is counted with. */
static void show_card(const json_t *card)
{
    char size[SMALL], worn[SMALL] = "", left[SMALL];
    const json_t *years = json_object_get(card, "years");
    json_int_t percent = text_integer(card, "worn_percent");
    if (!text_integer(card, "bytes")) {
        text_line("%s",
                  say("存储卡型号未知，无法预测寿命", "card not known, no forecast of its wear"));
        return;
    }
    if (json_is_number(json_object_get(card, "worn_percent")))
        snprintf(worn, sizeof worn, say("，磨损不超过 %lld %%", ", up to %lld %% worn"),
                 (long long)percent);
    double number = json_number_value(years);
    snprintf(left, sizeof left,
             number >= 100 ? say("%.0f 年以上", "over %.0f years")
             : number < 10 ? say("%.1f 年", "%.1f years")
                           : say("%.0f 年", "%.0f years"),
             number);
    text_bytes(text_integer(card, "bytes"), size, sizeof size);
    if (!json_is_number(years)) {
        text_line(say("存储卡 %s，%s%s：数据尚少，暂不预测寿命",
                      "card %s, %s%s: too early for a forecast"),
                  text_of(card, "name"), size, worn);
        return;
    }
    text_line(say("存储卡 %s，%s%s：按目前速率可用 %s", "card %s, %s%s: %s at this rate"),
              text_of(card, "name"), size, worn, left);
    text_line(say("  按擦写 %lld 次、每写 1 字节实写闪存 %lld 字节计",
                  "  counting %lld erase cycles, %lld bytes of flash for each byte written"),
              (long long)text_integer(card, "counted_cycles"),
              (long long)text_integer(card, "counted_amplification"));
}

static void show_held(const json_t *store)
{
    char left[SMALL];
    if (text_integer(store, "held_ms"))
        text_line(say("%lld 条读数等待校时，最长等待 %s",
                      "%lld readings wait for the clock to be set, %s at most"),
                  (long long)text_integer(store, "held"),
                  text_age(json_object_get(store, "held_ms"), left, sizeof left));
}

/* Nothing while it is well. */
static void show_mode(const char *mode)
{
    static const struct {
        const char *mode;
        struct words words;
    } troubles[] = {
        {"memory",
         {"磁盘故障：读数暂存内存，断电即失",
          "the disk fails: readings are kept in memory, which a power cut empties"}},
        {"read_only",
         {"磁盘只读：读数暂存内存，断电即失",
          "the disk is read-only: readings are kept in memory, which a power cut empties"}},
        {"full",
         {"磁盘已满：最旧的读数让位给新读数",
          "the disk is full: the oldest readings make way for new ones"}},
    };
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        if (strcmp(mode, troubles[i].mode) == 0)
            text_line("%s", say_words(troubles[i].words));
    }
}

/* Rates are 0 until they are known. */
static void show_wear(const json_t *store)
{
    char flash[SMALL], size[SMALL], day[2 * SMALL] = "", left[SMALL];
    json_int_t rate = text_integer(store, "flash_bytes_day"),
               hours = text_integer(store, "hours_left");
    if (rate)
        snprintf(day, sizeof day, say("，每天 %s", ", %s a day"),
                 text_bytes(rate, size, sizeof size));
    text_line(say("闪存写入 %s%s；提交 %lld 次，失败 %lld 次",
                  "flash written %s%s; %lld commits, %lld failed"),
              text_bytes(text_integer(store, "flash_bytes"), flash, sizeof flash), day,
              (long long)text_integer(store, "commits"),
              (long long)text_integer(store, "failed_commits"));
    if (hours)
        text_line(say("按目前速率 %s后存满", "full in %s at this rate"),
                  text_duration(hours * 3600000, left, sizeof left));
    show_card(json_object_get(store, "card"));
}

static void show_store(const json_t *store, const json_t *pipeline)
{
    char size[SMALL], quota[SMALL];
    text_line(say("存储（%s）：%s / %s，读数 %lld 条，缺口 %lld 处，损坏 %lld 处",
                  "store %s: %s of %s, %lld readings, %lld gaps, %lld corrupt"),
              text_name(store, "mode"), text_bytes(text_integer(store, "bytes"), size, sizeof size),
              text_bytes(text_integer(store, "quota_bytes"), quota, sizeof quota),
              (long long)text_integer(store, "readings"), (long long)text_integer(store, "gaps"),
              (long long)text_integer(store, "corrupt"));
    show_mode(text_of(store, "mode"));
    show_wear(store);
    show_held(store);
    text_line(say("采集 %lld 次，读数保留 %lld，略去 %lld，丢失 %lld",
                  "polls %lld, readings kept %lld, left out %lld, lost %lld"),
              (long long)text_integer(pipeline, "samples"),
              (long long)text_integer(pipeline, "readings"),
              (long long)text_integer(pipeline, "skipped"),
              (long long)text_integer(pipeline, "overload"));
}

/* "alarms: red 1, blue 2" */
static void show_alarms(const json_t *alarms)
{
    char text[TROUBLE] = "";
    size_t length = 0;
    for (unsigned level = LEVEL_RED; level < LEVEL_COUNT && length < sizeof text; level++) {
        const char *name = names_level((enum level)level);
        json_int_t count = text_integer(alarms, name);
        if (count)
            length +=
                (size_t)snprintf(text + length, sizeof text - length, "%s%s %lld",
                                 length ? say("，", ", ") : "", say_name(name), (long long)count);
    }
    if (length)
        text_line(say("报警：%s（lifelinectl alarms）", "alarms: %s (lifelinectl alarms)"), text);
    else
        text_line("%s", say("没有报警", "no alarm is up"));
}

static json_t *uplink_row(const json_t *uplink)
{
    char since[SMALL], oldest[SMALL];
    const json_t *backlog = json_object_get(uplink, "backlog");
    json_int_t oldest_ms = text_integer(backlog, "oldest_ms");
    json_t *age = json_null();
    if (oldest_ms)
        age = json_integer(text_integer(uplink, "now_ms") - oldest_ms);
    bool connected = json_is_true(json_object_get(uplink, "connected"));
    json_t *row = json_pack("[s, s, s, s, o, s, s]", text_of(uplink, "name"),
                            connected ? say("在线", "connected") : say("断线", "away"),
                            text_age(json_object_get(uplink, "since_age_ms"), since, sizeof since),
                            text_of(uplink, "mqtt"),
                            json_sprintf("%lld", (long long)text_integer(backlog, "readings")),
                            text_age(age, oldest, sizeof oldest), text_of(uplink, "url"));
    json_decref(age);
    return row;
}

/* What keeps data from a platform, below the table. */
static void show_trouble(const json_t *uplink)
{
    const json_t *backlog = json_object_get(uplink, "backlog");
    const json_t *refused = json_object_get(backlog, "refused");
    json_int_t set_aside = text_integer(backlog, "set_aside");
    json_int_t alarms = text_integer(backlog, "alarms");
    const char *why = text_of(uplink, "why");
    char reason[TROUBLE];
    size_t index;
    json_t *sector;
    if (!json_is_true(json_object_get(uplink, "connected")) && *why && strcmp(why, "-") != 0)
        text_line(say("上行 %s：%s", "uplink %s: %s"), text_of(uplink, "name"),
                  say_reason(why, reason, sizeof reason));
    json_array_foreach(refused, index, sector)
    {
        text_line(say("上行 %s：服务器拒收“%s”数据", "uplink %s: the broker refuses %s"),
                  text_of(uplink, "name"), say_name(json_string_value(sector)));
    }
    json_array_foreach(json_object_get(uplink, "alarms_refused"), index, sector)
    {
        text_line(say("上行 %s：服务器拒收“%s”报警", "uplink %s: the broker refuses alarms of %s"),
                  text_of(uplink, "name"), say_name(json_string_value(sector)));
    }
    if (alarms)
        text_line(say("上行 %s：%lld 条报警未送达", "uplink %s: %lld events of alarms wait"),
                  text_of(uplink, "name"), (long long)alarms);
    if (set_aside)
        text_line(say("上行 %s：%lld 个数据段服务器不收，已搁置",
                      "uplink %s: %lld segments set aside, which the broker does not take"),
                  text_of(uplink, "name"), (long long)set_aside);
}

static void show_uplinks(const json_t *uplinks, json_int_t now_ms)
{
    static const struct text_column columns[] = {
        {{"上行", "uplink"}, false}, {{"状态", "state"}, false},  {{"已持续", "since"}, true},
        {{"MQTT", "mqtt"}, false},   {{"积压", "backlog"}, true}, {{"最早", "oldest"}, true},
        {{"地址", "url"}, false}};
    json_t *rows = json_array(), *uplink;
    size_t index;
    json_array_foreach(uplinks, index, uplink)
    {
        json_object_set_new(uplink, "now_ms", json_integer(now_ms));
        json_array_append_new(rows, uplink_row(uplink));
        json_object_del(uplink, "now_ms");
    }
    text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
    json_array_foreach(uplinks, index, uplink)
    {
        show_trouble(uplink);
    }
}

static json_t *percent(const json_t *number)
{
    return json_sprintf("%.0f %%", json_number_value(number));
}

/* "12/85 ms", "0.3/1.2 ms"; "-" before the first answer. */
static json_t *round_trips(const json_t *line)
{
    double p50 = (double)text_integer(line, "round_trip_p50_us") / 1000;
    double p99 = (double)text_integer(line, "round_trip_p99_us") / 1000;
    if (p99 <= 0)
        return json_string("-");
    return json_sprintf("%.*f/%.*f ms", p50 < 9.95, p50, p99 < 9.95, p99);
}

static json_t *line_row(const json_t *line)
{
    return json_pack(
        "[s, s, o, o, o, o, o, s]", text_of(line, "name"),
        json_is_true(json_object_get(line, "open")) ? say("打开", "open") : say("关闭", "closed"),
        json_sprintf("%lld", (long long)text_integer(line, "devices")),
        json_sprintf("%lld", (long long)text_integer(line, "silent")),
        json_sprintf("%lld", (long long)text_integer(line, "slipping")),
        percent(json_object_get(line, "load_percent")), round_trips(line), text_of(line, "place"));
}

static void show_lines(const json_t *lines)
{
    static const struct text_column columns[] = {
        {{"线路", "line"}, false},      {{"状态", "state"}, false},   {{"设备", "devices"}, true},
        {{"离线", "silent"}, true},     {{"滞后", "slipping"}, true}, {{"负荷", "load"}, true},
        {{"p50/p99", "p50/p99"}, true}, {{"位置", "place"}, false}};
    json_t *rows = json_array(), *line;
    size_t index;
    json_array_foreach(lines, index, line)
    {
        json_array_append_new(rows, line_row(line));
    }
    text_table(columns, sizeof columns / sizeof *columns, rows);
    json_decref(rows);
}

/* ---- devices that are not well ---- */

struct trouble {
    char text[TROUBLE];
    size_t length;
};

static void add(struct trouble *trouble, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct trouble *trouble, const char *format, ...)
{
    char words[2 * SMALL];
    size_t room = sizeof trouble->text - trouble->length;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    int written = snprintf(trouble->text + trouble->length, room, "%s%s",
                           trouble->length ? say("，", ", ") : "", words);
    if (written > 0 && (size_t)written < room)
        trouble->length += (size_t)written;
}

/* How it ended when it was last asked. */
static void add_outcome(const json_t *device, struct trouble *trouble)
{
    const char *outcome = text_of(device, "outcome");
    char next[SMALL];
    if (strcmp(outcome, "-") == 0)
        add(trouble, "%s", say("尚未采集", "not asked yet"));
    else if (strcmp(outcome, "exception") == 0)
        add(trouble, say("异常码 %lld", "exception %lld"),
            (long long)text_integer(device, "exception"));
    else if (strcmp(outcome, "ok") != 0)
        add(trouble, "%s", say_name(outcome));
    if (json_is_true(json_object_get(device, "resting")))
        add(trouble, say("%s后重试", "asked again in %s"),
            text_age(json_object_get(device, "next_ms"), next, sizeof next));
}

/* What happens to it time and again, though the newest answer may be fine. A timeout now and then
 * is the bus; garbage or late answers are two units on one address, or a timeout set too short. */
static void add_shares(const json_t *device, struct trouble *trouble)
{
    static const struct {
        const char *kind;
        int percent; /* from here on it is told */
    } kinds[] = {{"timeout", 5}, {"exception", 5}, {"garbled", 1}, {"late", 1}};
    const json_t *counts = json_object_get(device, "counts");
    json_int_t requests = text_integer(counts, "requests");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        json_int_t count = text_integer(counts, kinds[i].kind);
        if (count * 100 >= requests * kinds[i].percent && count > 0 &&
            strcmp(kinds[i].kind, text_of(device, "outcome")) != 0)
            add(trouble, "%.0f %% %s", 100.0 * (double)count / (double)requests,
                say_name(kinds[i].kind));
    }
}

/* Less than one poll in twenty left out is the jitter of a busy moment. */
static void add_slip(const json_t *device, struct trouble *trouble)
{
    double stretch = json_number_value(json_object_get(device, "stretch"));
    if (stretch >= 1.05 && !json_is_true(json_object_get(device, "resting")))
        add(trouble, say("周期延长至 %.1f 倍", "slips to %.1f x its period"), stretch);
}

/* "" when it is well. */
static const char *trouble_of(const json_t *device, struct trouble *trouble)
{
    *trouble = (struct trouble){.length = 0};
    add_outcome(device, trouble);
    add_slip(device, trouble);
    add_shares(device, trouble);
    return trouble->text;
}

static void show_devices(const json_t *lines)
{
    static const struct text_column columns[] = {{{"设备", "device"}, false},
                                                 {{"线路", "line"}, false},
                                                 {{"距上次正常", "last good"}, true},
                                                 {{"问题", "trouble"}, false},
                                                 {{"名称", "title"}, false}};
    json_t *rows = json_array(), *line, *device;
    struct trouble trouble;
    char age[SMALL];
    size_t i, j, count = 0;
    json_array_foreach(lines, i, line)
    {
        json_array_foreach(json_object_get(line, "units"), j, device)
        {
            count++;
            if (*trouble_of(device, &trouble))
                json_array_append_new(
                    rows,
                    json_pack("[s, s, s, s, s]", text_of(device, "name"), text_of(line, "name"),
                              text_age(json_object_get(device, "good_age_ms"), age, sizeof age),
                              trouble.text, text_of(device, "title")));
        }
    }
    size_t ill = json_array_size(rows);
    if (ill)
        text_table(columns, sizeof columns / sizeof *columns, rows);
    text_line(say("设备正常 %zu/%zu 台", "%zu of %zu devices are well"), count - ill, count);
    json_decref(rows);
}

static void show(const json_t *result)
{
    const json_t *gateway = json_object_get(result, "gateway");
    show_gateway(gateway);
    show_watchdog(json_object_get(result, "watchdog"));
    show_store(json_object_get(result, "store"), json_object_get(result, "pipeline"));
    show_alarms(json_object_get(result, "alarms"));
    putchar('\n');
    show_uplinks(json_object_get(result, "uplinks"), text_integer(gateway, "time_ms"));
    putchar('\n');
    show_lines(json_object_get(result, "lines"));
    putchar('\n');
    show_devices(json_object_get(result, "lines"));
}

static enum ctl_exit run(struct ctl *ctl)
{
    json_t *result = NULL, *lines = NULL;
    enum ctl_exit code = client_ask(ctl, "GET", "/v1/status", &result);
    if (code == CTL_FINE)
        code = client_ask(ctl, "GET", "/v1/lines", &lines);
    if (code == CTL_FINE) {
        json_object_update(result, lines);
        ctl->writer->write(ctl->command, result);
    }
    json_decref(result);
    json_decref(lines);
    return code;
}

const struct command status_command = {
    .name = "status",
    .arguments = "",
    .help = {"线路、设备、存储和上行的状态", "lines, devices, store and uplinks"},
    .least = 0,
    .most = 0,
    .run = run,
    .text = show,
};

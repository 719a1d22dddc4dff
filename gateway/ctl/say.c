/* The language of lifelinectl, and the names of the API in it.
 *
 * One thread. Owns which language it is; the environment decides, once. Never touches the locale
 * of the C library: numbers and dates look the same in both languages, and JSON is none of its
 * business. */
#include "gateway/ctl/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/text.h"

enum { INDENT = 4 };

static bool chinese;

/* "zh", "zh_CN.UTF-8", "zh-Hans"; not "zha", which is Zhuang */
static bool is_zh(const char *locale)
{
    return strncmp(locale, "zh", 2) == 0 && strchr("_.@-", locale[2]) != NULL;
}

void say_begin(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    chinese = false;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *locale = getenv(variables[i]);
        if (locale && *locale) {
            chinese = is_zh(locale);
            return;
        }
    }
}

bool say_is_chinese(void)
{
    return chinese;
}

const char *say(const char *zh, const char *en)
{
    return chinese ? zh : en;
}

const char *say_words(struct words words)
{
    return chinese ? words.zh : words.en;
}

static const struct words names[] = {
    /* how an exchange ended, what a value is worth */
    {"正常", "ok"},
    {"正常", "good"},
    {"配置文件", "configuration"},
    {"不足", "insufficient"},
    {"不评价", "not_evaluated"},
    {"不可信", "implausible"},
    {"超时", "timeout"},
    {"异常应答", "exception"},
    {"报文错误", "garbled"},
    {"链路故障", "link"},
    {"应答迟到", "late"},
    {"无", "none"},
    {"存疑", "uncertain"},
    {"跳变", "spike"},
    {"预热中", "warmup"},
    {"标定中", "calibrating"},
    {"超量程", "out_of_range"},
    {"无效", "invalid"},
    {"传感器故障", "sensor_fault"},
    {"过期", "stale"},
    {"未知", "unknown"},
    {"未知", "unspecified"},
    /* the clock */
    {"已同步", "synced"},
    {"硬件时钟", "rtc"},
    {"守时", "holdover"},
    {"未校时", "unset"},
    {"已校正", "corrected"},
    /* the store */
    {"内存", "memory"},
    {"只读", "read_only"},
    {"已满", "full"},
    /* sectors */
    {"燃气", "gas"},
    {"供水", "water"},
    {"排水", "drainage"},
    {"供热", "heat"},
    {"窨井盖", "manhole"},
    {"内涝积水", "waterlogging"},
    {"海绵设施", "sponge"},
    {"桥梁", "bridge"},
    {"隧道", "tunnel"},
    {"综合管廊", "corridor"},
    /* alarms */
    {"红色", "red"},
    {"橙色", "orange"},
    {"黄色", "yellow"},
    {"蓝色", "blue"},
    {"越限", "threshold"},
    {"变化过快", "rate"},
    {"状态异常", "state"},
    {"诊断", "diagnosis"},
    {"设备故障", "device_fault"},
    {"发生", "raised"},
    {"升级", "escalated"},
    {"降级", "eased"},
    {"已确认", "acked"},
    {"已解除", "cleared"},
    {"已屏蔽", "suppressed"},
    /* what the daemon refuses */
    {"没有匹配的测点", "no point matches"},
    {"没有此设备", "no such device"},
    {"没有此线路", "no such line"},
    {"没有此路径，守护进程版本不同", "no such path"},
    {"正在读取的设备过多", "too many devices are being read"},
    {"所在线路繁忙或卡住", "its line was too busy or hangs"},
    {"线路繁忙或卡住", "the line was too busy or hangs"},
    {"线路正由他人占用", "somebody else is asking on this line"},
    {"该设备的配置已变更", "the configuration of this device has changed"},
    {"该线路的配置已变更", "the configuration of this line has changed"},
    {"订阅者过多", "too many subscribers"},
    {"繁忙，请重试", "busy, ask again"},
    {"该报警已确认过", "it is acknowledged already"},
    {"没有此报警，或已解除", "no such alarm is up"},
    {"级别应为 1（红）至 4（蓝）", "level: 1 (red) to 4 (blue)"},
    {"没有这个专业", "no such sector"},
    {"actor：须说明由谁确认", "actor: who acknowledges it"},
    {"minutes：0 到 10080 分钟", "minutes: 0 to 10080"},
    {"同时进行的查询过多", "too many scans at once"},
    {"内存不足", "out of memory"},
    /* why an uplink is away, in the words of libmosquitto and of brokers */
    {"连接断开", "The connection was lost."},
    {"连接被拒绝", "The connection was refused."},
    {"用户名或密码错误", "Bad User Name or Password"},
    {"用户名或密码错误", "Connection Refused: bad user name or password."},
    {"未授权", "Not authorized"},
    {"未授权", "Connection Refused: not authorised."},
    {"客户端标识被拒绝", "Connection Refused: identifier rejected."},
    {"服务器不可用", "Connection Refused: broker unavailable."},
    {"心跳超时", "Keep Alive timeout"},
    {"会话被占用", "Session taken over"},
    {"连接过于频繁", "Connection rate exceeded"},
    {"域名不存在", "Name or service not known"},
    {"域名解析暂时失败", "Temporary failure in name resolution"},
    {"域名解析无应答", "no answer from the resolver"},
    /* why a line cannot be used */
    {"被其他程序占用", "in use by another program"},
    {"不是本机的串口", "no serial port of this machine"},
    {"链路已断", "the link is down"},
    /* strerror(), of here and of the daemon */
    {"文件不存在", "No such file or directory"},
    {"设备不存在", "No such device"},
    {"设备不存在", "No such device or address"},
    {"权限不足", "Permission denied"},
    {"操作不允许", "Operation not permitted"},
    {"是目录", "Is a directory"},
    {"路径中有非目录", "Not a directory"},
    {"路径过长", "File name too long"},
    {"文件已存在", "File exists"},
    {"文件系统只读", "Read-only file system"},
    {"磁盘已满", "No space left on device"},
    {"读写错误", "Input/output error"},
    {"设备或资源忙", "Device or resource busy"},
    {"内存不足", "Cannot allocate memory"},
    {"连接被拒绝", "Connection refused"},
    {"连接超时", "Connection timed out"},
    {"连接被重置", "Connection reset by peer"},
    {"连接断开", "Broken pipe"},
    {"主机不可达", "No route to host"},
    {"网络不可达", "Network is unreachable"},
};

static const char *chinese_of(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].en) == 0)
            return names[i].zh;
    }
    return NULL;
}

const char *say_name(const char *name)
{
    const char *zh = chinese ? chinese_of(name) : NULL;
    return zh ? zh : name;
}

/* The first phrase that stands in the text, with the text around it. */
static void put_phrase(const char *text, char *out, size_t size)
{
    static const struct words phrases[] = {
        {"没有存储 ", "there is no store at "},
        {" 正被占用：进程 ", " is in use by process "},
        {" 正被其他进程占用", " is in use by another process"},
        {"无法读取 ", "cannot read "},
        {"无法使用 ", "cannot use "},
        {"无法创建 ", "cannot create "},
        {"无法锁定 ", "cannot lock "},
        {"服务器一直没有确认，已 ", "the broker has acknowledged nothing for "},
    };
    for (size_t i = 0; chinese && i < sizeof phrases / sizeof *phrases; i++) {
        const char *at = strstr(text, phrases[i].en);
        if (at) {
            snprintf(out, size, "%.*s%s%s", (int)(at - text), text, phrases[i].zh,
                     at + strlen(phrases[i].en));
            return;
        }
    }
    snprintf(out, size, "%s", text);
}

const char *say_reason(const char *reason, char *out, size_t size)
{
    put_phrase(say_name(reason), out, size);
    char *last = strstr(out, ": ");
    for (char *next = last; next; next = strstr(next + 2, ": "))
        last = next;
    const char *zh = chinese && last ? chinese_of(last + 2) : NULL;
    if (zh)
        snprintf(last, size - (size_t)(last - out), "：%s", zh);
    return out;
}

const char *say_errno(int number)
{
    return say_name(strerror(number));
}

void say_error(const char *format, ...)
{
    char *text = NULL, *line = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0 && asprintf(&line, "lifelinectl: %s", text) >= 0)
        text_fold(stderr, line, INDENT);
    if (length >= 0)
        free(text);
    free(line);
}

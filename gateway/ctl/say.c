/* The language of lifelinectl, and the names of the API in it.
 *
 * One thread. Owns which language it is; the environment decides, once. Never touches the locale
 * of the C library: numbers and dates look the same in both languages, and JSON is none of its
 * business. */
#include "gateway/ctl/say.h"

#include <errno.h>
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

const char *say_name(const char *name)
{
    static const struct words names[] = {
        /* how an exchange ended, what a value is worth */
        {"正常", "ok"},
        {"正常", "good"},
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
        {"同时进行的查询过多", "too many scans at once"},
        {"内存不足", "out of memory"},
    };
    for (size_t i = 0; chinese && i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].en) == 0)
            return names[i].zh;
    }
    return name;
}

const char *say_errno(int number)
{
    static const struct {
        int number;
        const char *zh;
    } reasons[] = {
        {ENOENT, "文件不存在"},       {EACCES, "权限不足"},       {EPERM, "操作不允许"},
        {ECONNREFUSED, "连接被拒绝"}, {EISDIR, "是目录"},         {ENOTDIR, "路径中有非目录"},
        {EROFS, "文件系统只读"},      {ENOSPC, "磁盘已满"},       {EIO, "读写错误"},
        {EEXIST, "文件已存在"},       {ENAMETOOLONG, "路径过长"}, {ENOMEM, "内存不足"},
    };
    for (size_t i = 0; chinese && i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].number == number)
            return reasons[i].zh;
    }
    return strerror(number);
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

/* The sentences of gateway/flow/runoff_report.c and their Chinese.
 *
 * One thread. A report comes over the wire with its doubts in English; * stands for what differs
 * from one to the next, in the same order in both languages. A test looks for every sentence here.
 * Owns nothing. */
#include "gateway/ctl/doubts.h"

#include <stdio.h>
#include <string.h>

#include "gateway/ctl/say.h"

enum { PARTS_MAX = 4 };

static const struct words sentences[] = {
    {"*覆盖仅为本场的 * %：不足以给出控制率",
     "* was measured for * % of the event: too little for a share"},
    {"*覆盖仅为本场的 * %", "* was measured for * % of the event"},
    {"降雨 * mm：不足 2 mm，不给控制率", "* mm of rain: below 2 mm no share is given"},
    {"各雨量站相差两倍以上：* 至 * mm，可能有一处堵塞",
     "the rain gauges differ by more than 2: * to * mm; one may be blocked"},
    {"一分钟内降雨达 * mm：超过 4 mm 少见", "up to * mm of rain in a minute: more than 4 is rare"},
    {"* mm 未计入：来得快于 8 mm/min", "* mm were not counted: they came faster than 8 mm/min"},
    {"雨量累计值回退 * 次：可能缺少至多 * mm",
     "a rain counter fell back * times: up to * mm may be missing"},
    {"* mm 降于累计值未被读取期间", "* mm fell while the counter was not read"},
    {"* / * 处雨量站读数过少，未采用", "* of * rain gauges were read too rarely to be used"},
    {"流量缺测 * 分钟：其间 * m³ 为估计值", "flow was not read for * min: * m³ are an estimate"},
    {"流量低于传感器下限 * 分钟：其间流过 0 至 * m³",
     "flow below the sensor's cut-off for * min: 0 to * m³ flowed there"},
    {"* m³ 倒流（顶托？），按负值计", "* m³ flowed backwards (backwater?) and count as negative"},
    {"流量低于旱天流量，共 * m³", "flow was below the dry-weather flow by * m³"},
    {"旱天流量未知：不给控制率", "no dry-weather flow is known: no share can be given"},
    {"已扣除旱天流量 * m³/s（* m³）", "dry-weather flow of * m³/s (* m³) was taken off"},
    {"旱天流量的学习不足 3 天", "dry-weather flow was learned on fewer than 3 days"},
    {"该时段的旱天流量未知：取其他时段的平均值",
     "dry-weather flow of these hours is not known: the mean of others was taken"},
    {"未学到旱天流量：取降雨前的流量",
     "no dry-weather flow was learned: the flow before the rain was taken"},
    {"降雨前仅 * 小时确知无雨：可能开始得更早",
     "only * h before it are known to be dry: it may have begun earlier"},
    {"末次降雨 * 小时后结束本场：流量未见回落至基流，或缺少雨量",
     "it was ended * h after the last rain: flow was not seen back at base, or rain not seen at "
     "all"},
    {"7 天后结束本场，其时仍在继续", "it was ended after 7 days and went on"},
    {"本场中重启后时钟未校准：所经时长未知",
     "the clock was not set after a restart in it: how long that took is not known"},
    {"不完整：* / * 个排口有计量，控制率至多为此：*",
     "partial: * of * outlets are gauged, the captured share is at most this:*"},
    {"控制率 *：流出多于降雨", "captured is *: more flowed out than fell"},
    {"控制率 *：倒流多于流出", "captured is *: more flowed back than out"},
    {"控制率略大于 1，在流量计零点误差之内",
     "captured is above 1 by less than a meter's zero can tell"},
    {"控制率 * % ± * %，目标 * % 在此范围内：无法判定",
     "captured * % +- * % lies about the target of * %: cannot be judged"},
    {"符合设计降雨校核条件：* mm（设计 * mm），此前无雨 * 小时",
     "qualifies for the design-rain check: * mm of * mm, dry for * h before"},
};

/* What stands for each * of the pattern; false: the text is another one. */
static bool match(const char *pattern, const char *text, const char *parts[PARTS_MAX],
                  size_t lengths[PARTS_MAX])
{
    size_t count = 0;
    for (;;) {
        size_t literal = strcspn(pattern, "*");
        if (strncmp(pattern, text, literal) != 0)
            return false;
        text += literal;
        pattern += literal;
        if (!*pattern || count == PARTS_MAX)
            return !*pattern && !*text;
        literal = strcspn(++pattern, "*");
        const char *end = text;
        while (*end && (strncmp(end, pattern, literal) != 0 || literal == 0))
            end++;
        parts[count] = text;
        lengths[count++] = (size_t)(end - text);
        text = end;
    }
}

static const char *known_as(const char *part, size_t length, size_t *out_length)
{
    static const struct words nouns[] = {{"雨量", "rain"}, {"流量", "flow"}};
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++) {
        if (strlen(nouns[i].en) == length && strncmp(nouns[i].en, part, length) == 0) {
            *out_length = strlen(nouns[i].zh);
            return nouns[i].zh;
        }
    }
    *out_length = length;
    return part;
}

static void fill(const char *pattern, const char *const parts[PARTS_MAX],
                 const size_t lengths[PARTS_MAX], char *out, size_t size)
{
    size_t used = 0, next = 0;
    out[0] = '\0';
    for (; *pattern && used < size; pattern++) {
        size_t length = 1;
        const char *piece =
            *pattern == '*' ? known_as(parts[next], lengths[next], &length) : pattern;
        next += *pattern == '*';
        int wrote = snprintf(out + used, size - used, "%.*s", (int)length, piece);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

const char *doubts_say(const char *doubt, char *out, size_t size)
{
    const char *parts[PARTS_MAX];
    size_t lengths[PARTS_MAX];
    for (size_t i = 0; say_is_chinese() && i < sizeof sentences / sizeof *sentences; i++) {
        if (!match(sentences[i].en, doubt, parts, lengths))
            continue;
        fill(sentences[i].zh, parts, lengths, out, size);
        return out;
    }
    return doubt;
}

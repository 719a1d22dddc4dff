/* Writes down as JSON what the const tables of the diagnoses say.
 *
 * For config.c and the manual page; one thread, no memory of its own. A diagnosis that several
 * sectors have is there once, with all of them. Never runs one. */
#include "gateway/ctl/diagnoses.h"

#include <stdio.h>
#include <string.h>

#include "drivers/class.h"
#include "proto/words.h"

enum { WORDS_MAX = 400 };

static const struct words needed = {"；规则包中必填", "; required in packs"};
static const struct words belongs = {"诊断；专业 ", "diagnosis; of "};

/* "90s", "1h": in the longest unit of which it is a whole number. */
static void say_duration(double ms, char *out, size_t size)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}, {"ms", 1}};
    size_t u = 0;
    while (ms / units[u].ms != (double)(long long)(ms / units[u].ms) || (ms == 0 && u < 3))
        u++;
    snprintf(out, size, "%.0f%s", ms / units[u].ms, units[u].unit);
}

static void say_bound(const struct diagnosis_param *param, double bound, char *out, size_t size)
{
    if (param->is_duration)
        say_duration(bound, out, size);
    else
        snprintf(out, size, "%g", bound);
}

static json_t *param_key(const struct diagnosis_form *form, const struct diagnosis_param *param)
{
    char min[32], max[32], zh[WORDS_MAX], en[WORDS_MAX];
    say_bound(param, param->min, min, sizeof min);
    say_bound(param, param->max, max, sizeof max);
    snprintf(zh, sizeof zh, "%s；%s 到 %s%s", param->is_duration ? "时长" : "数值", min, max,
             param->required ? needed.zh : "");
    snprintf(en, sizeof en, "%s; %s to %s%s", param->is_duration ? "duration" : "number", min, max,
             param->required ? needed.en : "");
    return json_pack("{s:o, s:s, s:b, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}}", "key",
                     json_sprintf("diagnoses.%s.%s", form->name, param->key), "type",
                     param->is_duration ? "duration" : "number", "required", (int)param->required,
                     "min", min, "max", max, "facts", "zh", zh, "en", en, "help", "zh",
                     param->help.zh, "en", param->help.en);
}

static json_t *form_key(const struct diagnosis_form *form)
{
    char zh[WORDS_MAX], en[WORDS_MAX], sectors[200] = "";
    for (int s = 1; s < SECTOR_COUNT; s++) {
        if (diagnosis_form_of((enum sector)s, form->name) != form)
            continue;
        size_t used = strlen(sectors);
        snprintf(sectors + used, sizeof sectors - used, "%s%s", used ? ", " : "",
                 names_sector((enum sector)s));
    }
    snprintf(zh, sizeof zh, "%s%s", belongs.zh, sectors);
    snprintf(en, sizeof en, "%s%s", belongs.en, sectors);
    return json_pack("{s:o, s:s, s:b, s:{s:s, s:s}, s:{s:o, s:o}}", "key",
                     json_sprintf("diagnoses.%s", form->name), "type", "diagnosis", "required", 0,
                     "facts", "zh", zh, "en", en, "help", "zh",
                     json_sprintf("%s；各级数值：%s", form->title_zh, form->levels_mean.zh), "en",
                     json_sprintf("%s; levels: %s", form->title_en, form->levels_mean.en));
}

static bool is_told(const struct diagnosis_form *form, int sector)
{
    for (int s = 1; s < sector; s++) {
        if (diagnosis_form_of((enum sector)s, form->name) == form)
            return true;
    }
    return false;
}

json_t *diagnoses_keys(void)
{
    json_t *keys = json_array();
    for (int s = 1; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        for (size_t d = 0; d < class->diagnosis_count; d++) {
            const struct diagnosis_form *form = &class->diagnoses[d]->form;
            if (is_told(form, s))
                continue;
            json_array_append_new(keys, form_key(form));
            for (size_t p = 0; p < form->param_count; p++)
                json_array_append_new(keys, param_key(form, &form->params[p]));
        }
    }
    return keys;
}

/* Reads a script of faults through a field table, as the configuration is read.
 *
 * Runs in the simulator's only thread, at start and on SIGHUP. Owns nothing but the list that it
 * hands out. Never half a script: with any error the old one stays. */
#include "drivers/sim/sim_script.h"

#include <stdlib.h>
#include <string.h>

#include "config/field.h"
#include "config/suggest.h"

/* An entry as it is written. */
struct entry {
    uint64_t at_ms, for_ms, repeat_ms;
    const char *line, *device;
    unsigned int fault;
    uint32_t delay_ms;
    uint8_t code;
    uint16_t every, address, count;
    bool silent;
};

#define LATE_BY_MS        200
#define EXCEPTION_ADDRESS 2

static bool field_fault(const struct reader *reader, const struct field *field,
                        const struct node *node, void *out)
{
    struct choice choices[SIM_FAULT_COUNT];
    for (unsigned int i = 1; i < SIM_FAULT_COUNT; i++) {
        choices[i - 1] = (struct choice){sim_fault_name((enum sim_fault_kind)i), i};
    }
    choices[SIM_FAULT_COUNT - 1] = (struct choice){NULL, 0};
    struct field with_choices = *field;
    with_choices.choices = choices;
    return field_choice(reader, &with_choices, node, out);
}

static const char *fault_choice(unsigned int value)
{
    return sim_fault_name((enum sim_fault_kind)value);
}

static const struct field_type FAULT = {.read = field_fault,
                                        .name = {"故障", "fault"},
                                        .choice = fault_choice,
                                        .choice_count = SIM_FAULT_COUNT};

static const struct field FIELDS[] = {
    {.key = "at",
     .type = &FIELD_LONG_DURATION,
     .offset = offsetof(struct entry, at_ms),
     .help = {"从 ready 起多久开始", "when it begins, counted from ready"}},
    {.key = "for",
     .type = &FIELD_LONG_DURATION,
     .offset = offsetof(struct entry, for_ms),
     .min = "1ms",
     .help = {"持续多久；不写为一直", "how long it lasts; for ever when left out"}},
    {.key = "repeat",
     .type = &FIELD_LONG_DURATION,
     .offset = offsetof(struct entry, repeat_ms),
     .min = "1ms",
     .help = {"每隔多久再来一次；不写只一次", "begins anew so often; once when left out"}},
    {.key = "line",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct entry, line),
     .help = {"该线路的所有设备", "all devices of this line"}},
    {.key = "device",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct entry, device),
     .help = {"只这台设备", "this device alone"}},
    {.key = "fault",
     .type = &FAULT,
     .offset = offsetof(struct entry, fault),
     .required = true,
     .help = {"什么故障", "what goes wrong"}},
    {.key = "delay",
     .type = &FIELD_DURATION,
     .offset = offsetof(struct entry, delay_ms),
     .min = "1ms",
     .help = {"late：迟多久；不写为线路的 timeout 加 200ms",
              "late: by how much; the line's timeout and 200ms when left out"}},
    {.key = "code",
     .type = &FIELD_U8,
     .offset = offsetof(struct entry, code),
     .fallback = "4",
     .min = "1",
     .max = "255",
     .help = {"exception：异常码", "exception: which"}},
    {.key = "address",
     .type = &FIELD_U16,
     .offset = offsetof(struct entry, address),
     .help = {"hole：第一个寄存器，报文中的地址", "hole: its first register, on the wire"}},
    {.key = "count",
     .type = &FIELD_U16,
     .offset = offsetof(struct entry, count),
     .fallback = "1",
     .min = "1",
     .help = {"hole：几个寄存器", "hole: how many registers"}},
    {.key = "silent",
     .type = &FIELD_BOOL,
     .offset = offsetof(struct entry, silent),
     .help = {"hole：不应答，而不是异常码 2", "hole: no answer instead of exception 2"}},
    {.key = "every",
     .type = &FIELD_U16,
     .offset = offsetof(struct entry, every),
     .fallback = "1",
     .min = "1",
     .help = {"只对每第 N 个请求", "strikes each Nth request only"}},
};
const struct section SIM_SCRIPT_FAULT = {"a fault", FIELDS, sizeof(FIELDS) / sizeof(FIELDS[0])};

/* The index of a line or device of that name; -1 after reporting that there is none. */
static int32_t find_line(const struct reader *reader, const struct settings *settings,
                         const struct node *node)
{
    struct suggest suggest = suggest_start(node->text);
    for (size_t i = 0; i < settings->line_count; i++) {
        if (strcmp(settings->lines[i].name, node->text) == 0) {
            return (int32_t)i;
        }
        suggest_offer(&suggest, settings->lines[i].name);
    }
    field_error(reader, node, "line \"%.40s\" does not exist%s", node->text,
                suggest_text(&suggest));
    return -1;
}

static int32_t find_device(const struct reader *reader, const struct settings *settings,
                           const struct node *node)
{
    struct suggest suggest = suggest_start(node->text);
    for (size_t i = 0; i < settings->device_count; i++) {
        if (strcmp(settings->devices[i].name, node->text) == 0) {
            return (int32_t)i;
        }
        suggest_offer(&suggest, settings->devices[i].name);
    }
    field_error(reader, node, "device \"%.40s\" does not exist%s", node->text,
                suggest_text(&suggest));
    return -1;
}

static bool read_entry(const struct reader *reader, const struct settings *settings,
                       const struct node *node, struct sim_fault *out)
{
    struct entry entry = {0};
    if (!field_read(reader, &SIM_SCRIPT_FAULT, node, &entry)) {
        return false;
    }
    if ((entry.line != NULL) == (entry.device != NULL)) {
        return field_error(reader, node, "a fault strikes either a line or a device: give one");
    }
    int32_t device = SIM_FAULT_ANY;
    int32_t line;
    if (entry.line != NULL) {
        line = find_line(reader, settings, tree_member(node, "line"));
    } else {
        device = find_device(reader, settings, tree_member(node, "device"));
        line = device < 0 ? -1 : (int32_t)settings->devices[device].line;
    }
    if (line < 0) {
        return false;
    }
    if (entry.repeat_ms > 0 && (entry.for_ms == 0 || entry.for_ms >= entry.repeat_ms)) {
        return field_error(reader, node, "a fault that repeats needs a shorter `for`");
    }
    *out = (struct sim_fault){
        .kind = (enum sim_fault_kind)entry.fault,
        .at_ms = (int64_t)entry.at_ms,
        .for_ms = (int64_t)entry.for_ms,
        .repeat_ms = (int64_t)entry.repeat_ms,
        .line = line,
        .device = device,
        .delay_ms =
            entry.delay_ms > 0 ? entry.delay_ms : settings->lines[line].timeout_ms + LATE_BY_MS,
        .code = entry.fault == SIM_FAULT_HOLE ? EXCEPTION_ADDRESS : entry.code,
        .unit = device < 0 ? 0 : settings->devices[device].unit,
        .address = entry.address,
        .count = entry.count,
        .silent = entry.silent,
        .every = entry.every,
    };
    return true;
}

/* NULL after reporting what is wrong. */
static struct sim_fault *read_list(const struct reader *reader, const struct settings *settings,
                                   const struct node *root)
{
    if (root->kind != NODE_LIST) {
        field_error(reader, root, "a list of faults is expected here, not %s",
                    tree_kind_name(root->kind));
        return NULL;
    }
    struct sim_fault *list = calloc(root->count + 1, sizeof *list);
    bool good = list != NULL;
    size_t at = 0;
    for (const struct node *node = root->first; node != NULL && list != NULL; node = node->next) {
        if (node->kind != NODE_MAP) {
            good = field_error(reader, node, "a fault is expected here, not %s",
                               tree_kind_name(node->kind));
        } else if (!read_entry(reader, settings, node, &list[at++])) {
            good = false;
        }
    }
    if (!good) {
        free(list);
        return NULL;
    }
    return list;
}

bool sim_script_load(const char *path, const struct settings *settings, struct sim_faults *out,
                     struct diagnostics *diagnostics)
{
    struct reader reader = {.arena = arena_new(), .out = diagnostics};
    const struct source *source = diagnostics_open(diagnostics, path);
    const struct node *root = source != NULL ? tree_parse(source, reader.arena, diagnostics) : NULL;
    struct sim_fault *list = root != NULL ? read_list(&reader, settings, root) : NULL;
    bool good = list != NULL && diagnostics_errors(diagnostics) == 0;
    if (good) {
        sim_script_free(out);
        *out = (struct sim_faults){.list = list, .count = root->count};
    } else {
        free(list);
    }
    arena_free(reader.arena);
    return good;
}

void sim_script_free(struct sim_faults *faults)
{
    free(faults->list);
    *faults = (struct sim_faults){0};
}

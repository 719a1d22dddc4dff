/* Loads one sensor profile: its head, and in order its points and its vectors.
 *
 * Runs in the thread that loads a configuration. The profile and all its texts lie in its own
 * arena. Nothing is read from a sensor here, and vectors are judged by their frames only: replaying
 * them is the drivers' business. */
#include "config/profile.h"

#include <stdio.h>
#include <string.h>

#include "config/profile_parts.h"
#include "config/tree.h"

static const struct choice STATUSES[] = {
    {"verified", PROFILE_VERIFIED},
    {"beta", PROFILE_BETA},
    {NULL, 0},
};

static const struct field TITLE_FIELDS[] = {
    {.key = "zh",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile, title_zh),
     .max = "100",
     .help = {"中文名称", "what it is called in Chinese"}},
    {.key = "en",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile, title_en),
     .max = "100",
     .help = {"英文名称", "what it is called in English"}},
};

static const struct section TITLE = {"title", TITLE_FIELDS, 2};

static const struct field PROFILE_FIELDS[] = {
    {.key = "profile",
     .type = &FIELD_NAME,
     .offset = offsetof(struct profile, name),
     .required = true,
     .max = "64",
     .characters = "a-z 0-9 - _ .",
     .help = {"名称，与文件名相同", "its name, the same as the file's"}},
    {.key = "title",
     .type = &FIELD_SECTION,
     .section = &TITLE,
     .help = {"{ zh: …, en: … }", "{ zh: ..., en: ... }"}},
    {.key = "vendor",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile, vendor),
     .fallback = "",
     .help = {"厂家", "who makes it"}},
    {.key = "sector",
     .type = &FIELD_SECTOR,
     .offset = offsetof(struct profile, sector),
     .required = true,
     .help = {"所属专业，测点的量取自该专业", "the sensor class whose quantities it measures"}},
    {.key = "status",
     .type = &FIELD_CHOICE,
     .offset = offsetof(struct profile, status),
     .choices = STATUSES,
     .required = true,
     .help = {"verified（已核实）或 beta（未核实）", "verified or beta"}},
    {.key = "source",
     .type = &FIELD_TEXT,
     .offset = offsetof(struct profile, source),
     .fallback = "",
     .help = {"寄存器表的出处", "where the register map comes from"}},
    {.key = "serial",
     .type = &FIELD_SERIAL,
     .offset = offsetof(struct profile, serial),
     .help = {"出厂串口参数，如 9600 8N1", "factory default of the serial line, like 9600 8N1"}},
    {.key = "max_registers",
     .type = &FIELD_U16,
     .offset = offsetof(struct profile, max_registers),
     .fallback = "125",
     .min = "1",
     .max = "125",
     .help = {"一次请求最多读几个寄存器", "the most registers that one request may ask for"}},
    {.key = "min_gap",
     .type = &FIELD_DURATION,
     .offset = offsetof(struct profile, min_gap_ms),
     .fallback = "0ms",
     .min = "0ms",
     .max = "10s",
     .help = {"每次请求前传感器需要的静默时间", "silence that the sensor wants before a request"}},
    {.key = "timeout",
     .type = &FIELD_DURATION,
     .offset = offsetof(struct profile, timeout_ms),
     .min = "20ms",
     .max = "60s",
     .help = {"传感器应答的最长时间；线路的 timeout 更长时取线路的",
              "how long the sensor may take to answer; the line's timeout, when longer, stays"}},
    {.key = "retries",
     .type = &FIELD_U8,
     .offset = offsetof(struct profile, retries),
     .min = "0",
     .max = "5",
     .help = {"请求重发几次；不写时取线路的",
              "how often a request is repeated; the line's when not given"}},
    {.key = "unit",
     .type = &FIELD_U8,
     .offset = offsetof(struct profile, unit),
     .fallback = "1",
     .min = "1",
     .max = "247",
     .help = {"出厂从站地址", "factory default of the Modbus unit"}},
    {.key = "points",
     .type = &FIELD_LIST,
     .items = &PROFILE_POINT,
     .required = true,
     .min = "1",
     .help = {"测点", "what it measures"}},
    {.key = "fingerprint",
     .type = &FIELD_LIST,
     .items = &PROFILE_MARK,
     .help = {"该型号每台都相同的寄存器内容，供 probe 识别",
              "what registers say of every sensor of this model, for probe"}},
    {.key = "vectors",
     .type = &FIELD_LIST,
     .items = &PROFILE_VECTOR,
     .help = {"说明书中的报文，作为检验", "frames of its documentation, as tests"}},
};

const struct section PROFILE = {"a profile", PROFILE_FIELDS,
                                sizeof(PROFILE_FIELDS) / sizeof(PROFILE_FIELDS[0])};

/* A profile is found by its file's name, so the name inside must be the same. */
static void check_name(const struct reader *reader, const struct node *root,
                       const struct source *source, const struct profile *profile)
{
    const char *slash = strrchr(source->name, '/');
    const char *base = slash == NULL ? source->name : slash + 1;
    size_t length = strlen(profile->name);
    if (strncmp(base, profile->name, length) != 0 || strcmp(base + length, ".yaml") != 0)
        field_error(reader, tree_member(root, "profile"),
                    "the profile is called \"%s\", its file %s; both must be the same",
                    profile->name, base);
}

/* FNV-1a */
static uint64_t digest_of(const struct source *source)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < source->length; i++)
        digest = (digest ^ (uint8_t)source->text[i]) * UINT64_C(0x100000001b3);
    return digest;
}

struct profile *profile_parse(const struct source *source, quantity_lookup lookup,
                              struct diagnostics *out)
{
    size_t errors = diagnostics_errors(out);
    struct arena *arena = arena_new();
    struct arena *scratch = arena_new(); /* the tree */
    struct reader reader = {.arena = arena, .out = out};
    struct profile *profile = arena_alloc(arena, sizeof(*profile));
    profile->arena = arena;

    const struct node *root = tree_parse(source, scratch, out);
    if (root == NULL)
        goto out;
    profile->place = root->place;
    profile->digest = digest_of(source);
    bool good = field_read(&reader, &PROFILE, root, profile);
    if (profile->name != NULL)
        check_name(&reader, root, source, profile);
    if (profile->title_zh == NULL)
        profile->title_zh = profile->name;
    if (profile->title_en == NULL)
        profile->title_en = profile->name;
    profile->has_serial = tree_member(root, "serial") != NULL;
    profile->has_retries = tree_member(root, "retries") != NULL;
    if (profile->sector == SECTOR_UNSPECIFIED)
        lookup = NULL; /* the points can still be judged, but not by their class */
    profile_point_read(&reader, tree_member(root, "points"), lookup, profile);
    profile_fingerprint_read(&reader, tree_member(root, "fingerprint"), profile);
    if (good)
        profile_vector_read(&reader, tree_member(root, "vectors"), profile);
out:
    arena_free(scratch);
    if (root != NULL && diagnostics_errors(out) == errors)
        return profile;
    arena_free(arena);
    return NULL;
}

struct profile *profile_load(const char *path, quantity_lookup lookup, struct diagnostics *out)
{
    const struct source *source = diagnostics_open(out, path);
    return source == NULL ? NULL : profile_parse(source, lookup, out);
}

void profile_free(struct profile *profile)
{
    if (profile != NULL)
        arena_free(profile->arena);
}

int profile_point_index(const struct profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->point_count; i++) {
        if (strcmp(profile->points[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

uint16_t profile_type_registers(enum register_type type)
{
    switch (type) {
    case REGISTER_U16:
    case REGISTER_I16:
    case REGISTER_BIT:
    case REGISTER_BCD16:
    case REGISTER_DIGIT_BCD16:
    case REGISTER_BYTE_FRACTION:
        return 1;
    case REGISTER_U32:
    case REGISTER_I32:
    case REGISTER_F32:
    case REGISTER_BCD32:
        return 2;
    case REGISTER_U64:
    case REGISTER_I64:
    case REGISTER_F64:
        return 4;
    }
    return 1;
}

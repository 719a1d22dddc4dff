"""The .proto against descriptor.txt: no name, number, type or label changes silently.

Also what `buf lint` would say: enum values carry their enum's name, zero is _UNSPECIFIED (GOOD in
Quality), no proto3 optional, no recursion; and every field has a comment.
"""
import difflib
import pathlib
import re
import sys

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet

GOLDEN = pathlib.Path(__file__).with_name("descriptor.txt")


def type_name(field):
    if field.type_name:
        return field.type_name.lstrip(".")
    return FieldDescriptorProto.Type.Name(field.type)[len("TYPE_"):].lower()


def describe(file):
    for message in file.message_type:
        for field in message.field:
            label = FieldDescriptorProto.Label.Name(field.label)[len("LABEL_"):].lower()
            if field.HasField("oneof_index"):
                label = "oneof:" + message.oneof_decl[field.oneof_index].name
            yield f"{message.name}.{field.name} {field.number} {type_name(field)} {label}"
    for enum in file.enum_type:
        for value in enum.value:
            yield f"{enum.name}.{value.name} {value.number}"


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def lint(file):
    commented = {tuple(place.path) for place in file.source_code_info.location
                 if place.leading_comments.strip() or place.trailing_comments.strip()}
    for i, message in enumerate(file.message_type):
        if (4, i) not in commented:
            yield f"{message.name}: no comment"
        if message.nested_type or message.enum_type:
            yield f"{message.name}: nested types"
        for j, field in enumerate(message.field):
            if (4, i, 2, j) not in commented:
                yield f"{message.name}.{field.name}: no comment"
            if field.proto3_optional:
                yield f"{message.name}.{field.name}: proto3 optional"
    for i, enum in enumerate(file.enum_type):
        zero = "QUALITY_GOOD" if enum.name == "Quality" else snake(enum.name) + "_UNSPECIFIED"
        if enum.value[0].number != 0 or enum.value[0].name != zero:
            yield f"{enum.name}: zero is not {zero}"
        for value in enum.value:
            if not value.name.startswith(snake(enum.name) + "_"):
                yield f"{enum.name}.{value.name}: not prefixed"


def recursive(file):
    inside = {"." + file.package + "." + m.name: {f.type_name for f in m.field if f.type == 11}
              for m in file.message_type}

    def reaches(start, seen):
        return any(kind in seen or reaches(kind, seen | {kind}) for kind in inside[start])

    return [f"{name}: recursive" for name in inside if reaches(name, {name})]


def main(descriptor, mode):
    files = FileDescriptorSet.FromString(pathlib.Path(descriptor).read_bytes())
    file = files.file[0]
    if len(files.file) != 1 or (file.package, file.syntax) != ("lifeline.v1", "proto3"):
        return f"descriptor: {file.package} {file.syntax}, {len(files.file)} files"
    found = list(lint(file)) + recursive(file)
    now = list(describe(file))
    if mode == "update":
        GOLDEN.write_text("\n".join(now) + "\n")
    golden = GOLDEN.read_text().splitlines()
    found += difflib.unified_diff(golden, now, "descriptor.txt", "lifeline.proto", "", "", 0, "")
    if found:
        return "descriptor: the wire has changed\n" + "\n".join(found)
    print(f"descriptor: {len(now)} fields and values as ever")
    return 0


sys.exit(main(*sys.argv[1:]))

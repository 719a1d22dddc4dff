"""Golden bytes of every message, with every field set.

The C program must write what golden.txt holds; Python must read from it exactly the values of the
rule below (the same as in wire_dump.c), in every field, and write the same bytes again.
"""
import pathlib
import subprocess
import sys

from google.protobuf.descriptor import FieldDescriptor as F
from lifeline.v1 import lifeline_pb2

GOLDEN = pathlib.Path(__file__).with_name("golden.txt")

RULES = {
    F.TYPE_UINT32: lambda n, k: n * 100000 + k,
    F.TYPE_FIXED32: lambda n, k: 4000000000 + n * 10 + k,
    F.TYPE_UINT64: lambda n, k: 2**53 - 1 - n * 10 - k,
    F.TYPE_FIXED64: lambda n, k: 2**53 - 1 - n * 10 - k,
    F.TYPE_INT64: lambda n, k: -(n * 1000003 + k),
    F.TYPE_SINT32: lambda n, k: -(n * 1000 + k),
    F.TYPE_SINT64: lambda n, k: -(n * 10**12 + k),
    F.TYPE_SFIXED64: lambda n, k: 1700000000000 + n + k,
    F.TYPE_FLOAT: lambda n, k: n + k + 0.5,
    F.TYPE_DOUBLE: lambda n, k: n + k + 0.25,
    F.TYPE_BOOL: lambda n, k: True,
    F.TYPE_BYTES: lambda n, k: bytes([0, 0xFF, n]),
}


def scalar(field, k):
    if field.type == F.TYPE_ENUM:
        return sorted(value.number for value in field.enum_type.values)[-1 - k]
    if field.type == F.TYPE_STRING:
        return f"{field.name}-值{k}"
    return RULES[field.type](field.number, k)


def expected(descriptor, choice):
    """A message of that type with every field set; of a oneof, the chosen one."""
    message = getattr(lifeline_pb2, descriptor.name)()
    for field in descriptor.fields:
        if field.containing_oneof and field.name != choice:
            continue
        target = getattr(message, field.name)
        repeated = field.label == F.LABEL_REPEATED
        if field.type == F.TYPE_MESSAGE:
            for _ in range(2 if repeated else 1):
                inner = expected(field.message_type, "")
                (target.add() if repeated else target).CopyFrom(inner)
        elif repeated:
            target.extend([scalar(field, 0), scalar(field, 1)])
        else:
            setattr(message, field.name, scalar(field, 0))
    return message


def required():
    """Every message once, those with a oneof once for each of its fields."""
    for name, descriptor in lifeline_pb2.DESCRIPTOR.message_types_by_name.items():
        choices = [field.name for oneof in descriptor.oneofs for field in oneof.fields]
        yield from ([f"{name}.{choice}" for choice in choices] or [name])


def check(name, data):
    kind, _, choice = name.partition(".")
    message = getattr(lifeline_pb2, kind).FromString(data)
    if message != expected(message.DESCRIPTOR, choice):
        return f"golden: {name} read as\n{message}"
    if message.SerializeToString(deterministic=True) != data:
        return f"golden: {name} is written otherwise by Python"
    return None


def main(program, mode):
    written = subprocess.run([program, "golden"], check=True, capture_output=True, text=True).stdout
    if mode == "update":
        GOLDEN.write_text(written)
    now = dict(line.split() for line in written.splitlines())
    golden = dict(line.split() for line in GOLDEN.read_text().splitlines())
    found = [f"golden: no bytes of {name}" for name in required() if name not in golden]
    found += [f"golden: {name} is written otherwise by C\n  golden {golden.get(name)}\n"
              f"  now    {now.get(name)}"
              for name in sorted({*golden, *now}) if golden.get(name) != now.get(name)]
    found += filter(None, (check(name, bytes.fromhex(data)) for name, data in golden.items()))
    if found:
        return "\n".join(found)
    print(f"golden: {len(golden)} messages, same bytes from C and Python")
    return 0


sys.exit(main(*sys.argv[1:]))

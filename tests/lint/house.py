"""The house as tables: what the lint rules compare the tree with. Edit here, not in rules.py."""

TOP_FOLDERS = {"gateway", "drivers", "proto", "config", "deploy", "tests"}
TOP_FILES = {"CMakeLists.txt", "README.md", "LICENSE"}  # and dotfiles; build/ is git's to ignore

# room -> (rooms it may include besides itself, libraries it may include besides libc).
# A room is a folder; MAIN is a room of its own: only it knows everybody, and nobody knows it.
FLOORS = {"proto", "config", "drivers"}
ROOMS = {
    "proto": (set(), {"protobuf-c"}),
    "config": ({"proto"}, {"libfyaml"}),
    "drivers": ({"proto", "config"}, {"libmodbus"}),
    "drivers/sim": (FLOORS, {"libfyaml"}),
    "gateway": (FLOORS, {"zlib"}),  # log.h and the like: below every room of the daemon
    "gateway/store": (FLOORS | {"gateway"}, {"sqlite", "zlib", "protobuf-c"}),
    "gateway/flow": (FLOORS | {"gateway", "gateway/store"}, set()),
    "gateway/poll": (FLOORS | {"gateway", "gateway/flow"}, set()),
    "gateway/uplink": (FLOORS | {"gateway", "gateway/store"}, {"mosquitto", "zstd", "openssl", "protobuf-c"}),
    "gateway/api": (
        FLOORS | {"gateway", "gateway/poll", "gateway/flow", "gateway/store", "gateway/uplink"},
        {"libevent", "jansson"},
    ),
    # the store: without a daemon `query` reads the file itself (history.h), and writes it as the
    # API does (history_line.h); `watch` asks a broker instead, and `doctor` why one does not answer
    "gateway/ctl": (
        FLOORS | {"gateway", "gateway/store", "gateway/uplink", "gateway/api"},
        {"curl", "jansson", "mosquitto", "protobuf-c", "openssl"},
    ),
    # writes down at build time what the tables of all floors say
    "deploy/man": (FLOORS | {"drivers/sim", "gateway", "gateway/api", "gateway/ctl"}, set()),
}
MAIN = {"gateway/main.c"} | {
    f"gateway/{name}.{kind}" for name in ("house", "reload", "rebuild") for kind in "ch"
}
MAIN_LIBRARIES = {"libevent", "mosquitto"}

# How the headers of a library begin; the generated wire code belongs to proto/ alone.
LIBRARIES = {
    "protobuf-c": ("protobuf-c/", "lifeline/v1/"),
    "libfyaml": ("libfyaml.h",),
    "libmodbus": ("modbus",),
    "sqlite": ("sqlite3.h",),
    "mosquitto": ("mosquitto.h", "mqtt_protocol.h"),
    "libevent": ("event2/",),
    "jansson": ("jansson.h",),
    "curl": ("curl/",),
    "zlib": ("zlib.h",),
    "zstd": ("zstd.h",),
    "openssl": ("openssl/",),
}
LIBC_FOLDERS = ("sys/", "linux/", "netinet/", "arpa/", "net/")
LIBC = set(
    "assert ctype dirent endian errno fcntl float getopt glob grp inttypes langinfo libgen limits"
    " locale malloc math netdb poll pthread pty pwd regex sched semaphore setjmp signal spawn stdarg"
    " stdatomic stdbool stddef stdint stdio stdlib string strings syslog termios time unistd"
    " wchar".split()
)

FILE_LINES = 600
FUNCTION_LINES = 80
HEAD_COMMENT_LINES = range(4, 15)

BANNED_CALLS = "strcpy strcat sprintf vsprintf gets atoi atol atof strtok".split()
# fprintf and fputs themselves are harmless (open_memstream): it takes a stream to print.
PRINTING_CALLS = "printf vprintf dprintf puts putchar perror syslog".split()
PRINTING_STREAMS = ["stdout", "stderr"]
MAY_PRINT = {"drivers/sim/main.c"}

# Who starts threads: one place for those that run for long, and those that end by themselves.
STARTER = "gateway/thread.c"
SHORT_THREADS = {"gateway/uplink/resolve.c"}

# In pieces, so that this file does not hold what it forbids.
MARKERS = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
MACHINE_PATHS = ["/" + name + "/" for name in ("work", "farm", "root")]
REGISTRY_HOSTS = [
    name.replace(" ", ".")
    for name in (
        "deb debian org",
        "ftp debian org",
        "security debian org",
        "snapshot debian org",
        "archive ubuntu com",
        "pypi org",
        "pythonhosted org",
        "npmjs org",
        "npmjs com",
        "crates io",
        "proxy golang org",
        "docker io",
        "quay io",
        "ghcr io",
    )
]

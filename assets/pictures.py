#!/usr/bin/env python3
"""Makes the README's pictures of the real program: python3 assets/pictures.py [NAME…]

Builds portscope, opens a private network namespace a scene with sockets of its own, plays keys to
the program in tmux, and draws what tmux shows. Touches no port of the machine. What is shown is listed in
PICTURES. Needs Linux, cargo, tmux, unshare (util-linux), a monospace font (fc-match), Pillow.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

ASSETS = Path(__file__).resolve().parent
ROOT = ASSETS.parent
FRAMES_A_SECOND = 10
MOST_BYTES = 1_000_000
# In the environment of the process that populates.
POPULATE = "PORTSCOPE_PICTURES_POPULATE"


# The pictures -------------------------------------------------------------------------------------


@dataclass
class Press:
    """Keys by tmux's names, then seconds without a key."""

    keys: str
    then: float = 0.3


@dataclass
class Until:
    """Until the screen says so. `again` is pressed once a second meanwhile."""

    pattern: str
    timeout: float = 30.0
    again: str = ""


@dataclass
class Film:
    seconds: float


@dataclass
class Picture:
    name: str
    columns: int
    rows: int
    shows: str
    script: list = field(default_factory=list)
    scene: str = "busy"


STARTED = [Until("live|net"), Press("", 2.5)]
MAP = [*STARTED, Press("2", 0.6)]
SIMULATED = [Press("4", 0.6), Press("t", 1.0)]
PICTURES = [
    Picture("overview.png", 120, 40, "a destination without ports: who, why and what to do",
            [Until("EXHAUSTED"), Press("", 4)], scene="exhausted"),
    Picture("map.png", 120, 40, "a busy range in blocks, and who listens on port 35000",
            [*MAP, Press("g 3 5 0 0 0 Enter")]),
    Picture("dots.png", 160, 48, "the same, one dot a port: what connect() chose shows as stripes",
            [*MAP, Until("[\u2801-\u28ff]{5}", 4, again="f"), Press("g 4 1 0 0 0 Enter")]),
    Picture("allocate.png", 120, 40, "one allocation at 90 % simulated occupancy, from try to port",
            [*STARTED, *SIMULATED, Press("Space", 0), Until(r"◆ \d{5} ✓(?s:.*)after ([6-9]|1\d) ", 90)]),
    Picture("pool.png", 120, 40, "leases of three classes, their bands, a port in quarantine",
            [*STARTED, Press("4", 0.6), Press("P"), Press("I", 0.6), Press("v"), Press("i i", 0.6), Press("v"),
             Press("i i", 0.6), Press("x", 2)], scene="quiet"),
    Picture("lab.png", 160, 48, "strategies side by side at 90 %, measured beside expected",
            [*STARTED, Press("5 Space", 6)], scene="quiet"),
    Picture("allocate.gif", 100, 30, "the same at 4, 20 and 1,000 attempts a second, and at full speed",
            [*STARTED, *SIMULATED, Press("Space", 0), Film(6), Press("]", 0), Film(2),
             Press("]", 0), Film(2), Press("]", 0), Film(1.5)]),
]


# What there is to be seen -------------------------------------------------------------------------

PR_SET_PDEATHSIG = 1
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
IP_LOCAL_PORT_RANGE = 51


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def process(name, make, serve=None):
    """A process that keeps the sockets it makes, or serves the first, as long as this one lives."""
    ready, done = os.pipe()
    if os.fork() == 0:
        end_with_parent()
        Path("/proc/self/comm").write_text(name)
        sockets = make()
        os.write(done, b"!")
        while serve:
            serve(sockets[0].accept()[0], sockets)
        signal.pause()
    os.close(done)
    if os.read(ready, 1) != b"!":
        sys.exit(f"the process {name} could not make its sockets")


def listening(*ports):
    return lambda: [socket.create_server(("127.0.0.1", port), backlog=4096) for port in ports]


def connecting(target, count, from_ports=None):
    """From ports that the kernel chooses, or from the ports given."""

    def make():
        ends = []
        for index in range(count):
            end = socket.socket()
            if from_ports:
                end.bind(("127.0.0.1", from_ports[index]))
            end.connect(("127.0.0.1", target))
            ends.append(end)
        return ends

    return make


def connecting_for_a_moment(target, count, first=0, last=0):
    """TIME-WAIT is with the end that closes first. From those ports, 0: any."""

    def make():
        for _ in range(count):
            with socket.socket() as end:
                # Before Linux 6.3 its ports are all over the range.
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", last << 16 | first))
                end.connect(("127.0.0.1", target))
        return []

    return make


def connecting_to_the_last(target):
    """As long as there is a port."""

    def make():
        ends = []
        with contextlib.suppress(OSError):
            while True:
                ends.append(socket.create_connection(("127.0.0.1", target)))
        return ends

    return make


def one_after_the_other(*makes):
    return lambda: [end for make in makes for end in make()]


def bound(kind, *endpoints):
    def make():
        ends = []
        for address, port in endpoints:
            end = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            end.bind((address, port))
            ends.append(end)
        return ends

    return make


def keep(end, ends):
    ends.append(end)


def close_at_once(end, _ends):
    end.close()


def close_after_the_other(end, _ends):
    end.recv(1)
    end.close()


def close_the_first(count):
    """As `close_after_the_other`, and keeps the others."""
    left = iter(range(count))
    return lambda end, ends: keep(end, ends) if next(left, None) is None else close_after_the_other(end, ends)


def populate():
    """The sockets of a scene, in our namespace, as long as their maker lives."""
    end_with_parent()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    SCENES[os.environ[POPULATE]](hard)
    print("ready", flush=True)
    signal.pause()


def quiet(_descriptors):
    """Nobody but portscope."""


def exhausted(descriptors):
    """A program without a pool of connections: what it does not hold it has closed a moment ago."""
    ports = min(descriptors - 200, 15_000)
    closed = ports * 2 // 5
    set_sysctl("ip_local_port_range", f"32768 {32_767 + ports}")
    # Else connect() takes a port of TIME-WAIT again after a second.
    set_sysctl("tcp_tw_reuse", "0")
    process("postgres", listening(5432), close_the_first(closed))
    process("redis-server", listening(6379), keep)
    process("sshd", listening(22))
    process("orders-api", connecting(6379, ports // 10))
    process("payments-api", one_after_the_other(
        connecting_for_a_moment(5432, closed), connecting_to_the_last(5432)))


def busy(descriptors):
    """A web machine, one program of which leaks."""
    many = min(descriptors // 2 - 100, 3_000)

    # First what needs a port of its own.
    process("gunicorn", listening(35_000, 40_007, 44_321, 57_900))
    process("leaky-worker", bound(socket.SOCK_STREAM, *[("127.0.0.1", p) for p in range(51_600, 51_960)]))
    process("sshd", listening(22))
    process("nginx", listening(80, 443))
    process("postgres", listening(5432), keep)
    process("rabbitmq", listening(5672), close_at_once)
    process("api-gateway", listening(8080), close_after_the_other)
    process("log-shipper", connecting(5672, 500, range(53_001, 54_501, 3)))
    process("crawler", connecting_for_a_moment(8080, 2_500, 42_000, 47_999))
    process("coturn", bound(socket.SOCK_DGRAM, *[("0.0.0.0", 0)] * 900, *[("::", 0)] * 300))
    process("payments-api", connecting(5432, many))
    process("orders-api", connecting(5432, many * 2 // 3))


SCENES = {"busy": busy, "exhausted": exhausted, "quiet": quiet}


def set_sysctl(name, value):
    Path(f"/proc/sys/net/ipv4/{name}").write_text(value)


def populated(scene):
    """The process that populates. Pictures show its command: it says nothing of this machine."""
    command = ["python3", str(Path(__file__).resolve().relative_to(ROOT))]
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix, POPULATE: scene}
    started = subprocess.Popen(command, executable=sys.executable, cwd=ROOT, env=environment,
                               stdout=subprocess.PIPE, text=True)
    if started.stdout.readline() != "ready\n":
        sys.exit("no sockets, no pictures")
    return started


# The program in tmux ------------------------------------------------------------------------------

CONFIGURATION = """
set -g status off
set -s escape-time 0
set -g default-terminal screen-256color
"""


class Tmux:
    """A server of its own with one window of one program."""

    def __init__(self, folder, picture, program):
        self.socket = str(folder / f"{picture.name}.socket")
        configuration = folder / "tmux.conf"
        configuration.write_text(CONFIGURATION)
        environment = ["env", "COLORTERM=truecolor", "LC_ALL=C.UTF-8"]
        command = [*environment, program, "--theme", "dark", "--color", "truecolor"]
        size = ["-x", str(picture.columns), "-y", str(picture.rows)]
        self.tmux("-u", "-f", str(configuration), "new-session", "-d", *size, *command)

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"tmux {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def press(self, keys):
        for key in keys.split():
            self.tmux("send-keys", key)
            time.sleep(0.03)

    def text(self):
        return self.tmux("capture-pane", "-p")

    def picture(self):
        return self.tmux("capture-pane", "-e", "-p", "-N")

    def steady_picture(self):
        """tmux may be asked in the middle of a frame: only what stays was a whole one."""
        before = self.picture()
        for _ in range(50):
            time.sleep(0.02)
            now = self.picture()
            if now == before:
                break
            before = now
        return before

    def wait(self, until):
        started, pressed = time.monotonic(), time.monotonic()
        while not re.search(until.pattern, self.text()):
            now = time.monotonic()
            if now - started > until.timeout:
                print(f"    not seen within {until.timeout:.0f} s: {until.pattern}", file=sys.stderr)
                return
            if until.again and now - pressed > 1:
                pressed = now
                self.press(until.again)
            time.sleep(0.02)

    def film(self, seconds):
        frames, started = [], time.monotonic()
        for index in range(round(seconds * FRAMES_A_SECOND)):
            time.sleep(max(0, started + index / FRAMES_A_SECOND - time.monotonic()))
            frames.append(self.picture())
        return frames

    def play(self, script):
        frames = []
        for step in script:
            match step:
                case Press(keys, then):
                    self.press(keys)
                    time.sleep(then)
                case Until():
                    self.wait(step)
                case Film(seconds):
                    frames += self.film(seconds)
        return frames or [self.steady_picture()]

    def end(self):
        self.tmux("kill-server")


# From what tmux says to pixels --------------------------------------------------------------------

FOREGROUND, BACKGROUND = (0xD8, 0xDB, 0xE2), (0x0D, 0x10, 0x17)
SIXTEEN = [
    (0x1C, 0x1F, 0x26), (0xE0, 0x5A, 0x50), (0x3F, 0xC5, 0x9B), (0xE5, 0xA5, 0x2D),
    (0x4A, 0x7F, 0xE8), (0xC2, 0x85, 0xC5), (0x35, 0xB5, 0xC5), (0xC8, 0xCC, 0xD4),
    (0x5A, 0x63, 0x75), (0xFF, 0x7B, 0x70), (0x5F, 0xE0, 0xB5), (0xFF, 0xFF, 0x4A),
    (0x7C, 0xA4, 0xFF), (0xE5, 0xA0, 0xE8), (0x60, 0xD8, 0xE8), (0xFF, 0xFF, 0xFF),
]


def indexed(number):
    """xterm's 256 colours."""
    if number < 16:
        return SIXTEEN[number]
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    levels = [0, 95, 135, 175, 215, 255]
    number -= 16
    return levels[number // 36], levels[number // 6 % 6], levels[number % 6]


@dataclass(frozen=True)
class Style:
    foreground: tuple = FOREGROUND
    background: tuple = BACKGROUND
    bold: bool = False
    dim: bool = False
    underlined: bool = False
    reversed: bool = False

    def after(self, numbers):
        """Select Graphic Rendition (ECMA-48, and 38 and 48 as xterm has them)."""
        fields, numbers = vars(self).copy(), list(numbers)
        while numbers:
            match numbers.pop(0):
                case 0:
                    fields = vars(Style()).copy()
                case 1:
                    fields["bold"] = True
                case 2:
                    fields["dim"] = True
                case 4:
                    fields["underlined"] = True
                case 7:
                    fields["reversed"] = True
                case 22:
                    fields["bold"] = fields["dim"] = False
                case 24:
                    fields["underlined"] = False
                case 27:
                    fields["reversed"] = False
                case 38 | 48 as which:
                    ground = "foreground" if which == 38 else "background"
                    if numbers.pop(0) == 5:
                        fields[ground] = indexed(numbers.pop(0))
                    else:
                        fields[ground] = tuple(numbers[:3])
                        del numbers[:3]
                case 39:
                    fields["foreground"] = FOREGROUND
                case 49:
                    fields["background"] = BACKGROUND
                case n if 30 <= n <= 37 or 90 <= n <= 97:
                    fields["foreground"] = SIXTEEN[n - 30 if n < 90 else n - 82]
                case n if 40 <= n <= 47 or 100 <= n <= 107:
                    fields["background"] = SIXTEEN[n - 40 if n < 100 else n - 92]
        return Style(**fields)

    def colors(self):
        front, back = self.foreground, self.background
        if self.dim:
            front = tuple((f + b) // 2 for f, b in zip(front, back))
        return (back, front) if self.reversed else (front, back)


def cells(line, style):
    """The characters of a line with their styles, and the style after it."""
    found = []
    for part in re.finditer(r"\x1b\[([0-9;:]*)m|\x1b[^a-zA-Z]*[a-zA-Z\\]|[\x00-\x1f]|(.)", line):
        sequence, character = part.groups()
        if character:
            found.append((character, style))
        elif sequence is not None:
            style = style.after(int(n or 0) for n in re.split("[;:]+", sequence))
    return found, style


class Painter:
    """Draws screens in one font; what must tile is drawn as geometry."""

    MARGIN = 8
    FINE = 4

    def __init__(self, size=15):
        self.fonts = [self.find(weight, size) for weight in ("regular", "bold")]
        ascent, descent = self.fonts[0].getmetrics()
        self.width, self.height = round(self.fonts[0].getlength("M")), ascent + descent

    @staticmethod
    def find(weight, size):
        asked = ["fc-match", "--format=%{file}", f"DejaVu Sans Mono,monospace:spacing=mono:{weight}"]
        return ImageFont.truetype(subprocess.run(asked, capture_output=True, text=True).stdout, size)

    def draw(self, screen, columns, rows):
        size = (columns * self.width + 2 * self.MARGIN, rows * self.height + 2 * self.MARGIN)
        image, style = Image.new("RGB", size, BACKGROUND), Style()
        for row, line in enumerate(screen.split("\n")[:rows]):
            column = 0
            found, style = cells(line, style)
            for character, drawn in found:
                at = (self.MARGIN + column * self.width, self.MARGIN + row * self.height)
                image.paste(self.cell(character, drawn), at)
                column += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        return image

    @lru_cache(maxsize=50_000)
    def cell(self, character, style):
        front, back = style.colors()
        mask = self.mask(character, style.bold)
        image = Image.new("RGB", mask.size, back)
        image.paste(front, mask=mask)
        if style.underlined:
            ImageDraw.Draw(image).line((0, self.height - 2, mask.width, self.height - 2), front)
        return image

    @lru_cache(maxsize=2_000)
    def mask(self, character, bold):
        code = ord(character)
        if 0x2580 <= code <= 0x259F:
            return self.block(code)
        if 0x2800 <= code <= 0x28FF:
            return self.braille(code - 0x2800)
        lines = box_lines(character)
        return self.box(*lines) if lines else self.letter(character, bold)

    def letter(self, character, bold):
        wide = unicodedata.east_asian_width(character) in "WF"
        mask, font = Image.new("L", (self.width * (1 + wide), self.height)), self.fonts[bold]
        left = (mask.width - font.getlength(character)) / 2
        ImageDraw.Draw(mask).text((left, 0), character, 255, font)
        return mask

    def filled(self, *boxes, shade=255):
        """Boxes in shares of the cell."""
        mask = Image.new("L", (self.width, self.height))
        for left, top, right, bottom in boxes:
            corner = (round(right * self.width) - 1, round(bottom * self.height) - 1)
            start = (round(left * self.width), round(top * self.height))
            ImageDraw.Draw(mask).rectangle((*start, *corner), shade)
        return mask

    def block(self, code):
        if code == 0x2580:
            return self.filled((0, 0, 1, 0.5))
        if code <= 0x2588:
            return self.filled((0, 1 - (code - 0x2580) / 8, 1, 1))
        if code <= 0x258F:
            return self.filled((0, 0, (0x2590 - code) / 8, 1))
        if code == 0x2590:
            return self.filled((0.5, 0, 1, 1))
        if code <= 0x2593:
            return self.filled((0, 0, 1, 1), shade=(code - 0x2590) * 64)
        if code <= 0x2595:
            return self.filled((0, 0, 1, 1 / 8) if code == 0x2594 else (7 / 8, 0, 1, 1))
        # Upper left, upper right, lower left, lower right.
        quadrants = [0b0010, 0b0001, 0b1000, 0b1011, 0b1001, 0b1110, 0b1101, 0b0100, 0b0110, 0b0111]
        places = [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]
        lit = quadrants[code - 0x2596]
        return self.filled(*[place for bit, place in zip((8, 4, 2, 1), places) if lit & bit])

    def braille(self, bits):
        fine = Image.new("L", (self.width * self.FINE, self.height * self.FINE))
        radius = fine.width / 6.5
        for column, row_bits in enumerate([(0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)]):
            for row, bit in enumerate(row_bits):
                if bits & bit:
                    x, y = fine.width * (2 * column + 1) / 4, fine.height * (2 * row + 1) / 8
                    box = (x - radius, y - radius, x + radius, y + radius)
                    ImageDraw.Draw(fine).ellipse(box, 255)
        return fine.resize((self.width, self.height), Image.Resampling.BOX)

    def box(self, arms, thickness, dashes):
        mask = Image.new("L", (self.width, self.height))
        draw = ImageDraw.Draw(mask)
        left, top = (self.width - thickness) // 2, (self.height - thickness) // 2
        right, bottom = left + thickness - 1, top + thickness - 1
        reach = {"UP": (left, 0, right, bottom), "DOWN": (left, top, right, self.height),
                 "LEFT": (0, top, right, bottom), "RIGHT": (left, top, self.width, bottom)}
        for arm in arms:
            draw.rectangle(reach[arm], 255)
        for dash in range(dashes):
            if "UP" in arms:
                gap = round((dash + 1) * self.height / dashes)
                draw.rectangle((0, gap - self.height // dashes // 3, self.width, gap - 1), 0)
            else:
                gap = round((dash + 1) * self.width / dashes)
                draw.rectangle((gap - 2, 0, gap - 1, self.height), 0)
        return mask


def box_lines(character):
    """Arms, thickness and dashes by the character's name; None where the font may draw it."""
    prefix, _, name = unicodedata.name(character, "").partition("BOX DRAWINGS ")
    words = name.split()
    if prefix or not words or words.count("LIGHT") + words.count("HEAVY") != 1:
        return None
    arms = set(words) & {"UP", "DOWN", "LEFT", "RIGHT"}
    arms |= {"UP", "DOWN"} if "VERTICAL" in words else set()
    arms |= {"LEFT", "RIGHT"} if "HORIZONTAL" in words else set()
    dashes = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}.get(words[1], 0) if "DASH" in words else 0
    return frozenset(arms), 1 if "LIGHT" in words else 3, dashes


def save(images, path):
    """An animation of few enough colours to be small enough."""
    if path.suffix == ".png":
        images[0].save(path, optimize=True)
        return
    duration = [1000 // FRAMES_A_SECOND] * (len(images) - 1) + [1500]
    for colors in (128, 64, 32, 16):
        # A palette of all frames: some of the beginning, the middle and the end.
        some = images[:: max(1, len(images) // 8)]
        sheet = Image.new("RGB", (some[0].width, some[0].height * len(some)))
        for index, image in enumerate(some):
            sheet.paste(image, (0, index * image.height))
        palette = sheet.quantize(colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        few[0].save(path, save_all=True, append_images=few[1:], duration=duration, loop=0)
        if path.stat().st_size <= MOST_BYTES:
            return
    print(f"    {path.name} is larger than {MOST_BYTES:,} bytes", file=sys.stderr)


# From the outside to the inside -------------------------------------------------------------------


def missing():
    tools = {"tmux": "tmux", "unshare": "util-linux", "fc-match": "fontconfig", "cargo": "Rust"}
    lacks = [f"{tool} ({where})" for tool, where in tools.items() if not shutil.which(tool)]
    if Image is None:
        lacks.append("Pillow (python3 -m pip install pillow)")
    elif subprocess.run([*unshare(), "true"], capture_output=True).returncode:
        lacks.append("the right to make a network namespace (root, or unprivileged user namespaces)")
    return lacks


def unshare():
    return ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return str(Path(target) / "release" / "portscope")


def make(pictures, program, folder):
    """Pictures of one scene."""
    population, painter = populated(pictures[0].scene), Painter()
    for picture in pictures:
        with tempfile.TemporaryDirectory() as temporary:
            tmux = Tmux(Path(temporary), picture, program)
            frames = tmux.play(picture.script)
            tmux.end()
        path = folder / picture.name
        save([painter.draw(frame, picture.columns, picture.rows) for frame in frames], path)
        print(f"{path}: {picture.shows} ({path.stat().st_size:,} bytes)")
    population.kill()


def main():
    if POPULATE in os.environ:
        return populate()
    names = ", ".join(picture.name for picture in PICTURES)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=f"NAME: {names}")
    parser.add_argument("name", nargs="*")
    parser.add_argument("--program", help="instead of building one")
    parser.add_argument("--folder", type=Path, default=ASSETS, help="where the pictures go")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    wanted = [picture for picture in PICTURES if not asked.name or picture.name in asked.name]
    if asked.inside:
        return make(wanted, asked.program, asked.folder)
    if lacks := missing():
        sys.exit("to make the pictures there lacks: " + ", ".join(lacks))
    program = os.path.abspath(asked.program) if asked.program else build()
    again = [sys.executable, __file__, "--inside", "--program", program, "--folder", asked.folder]
    for scene in SCENES:
        if names := [picture.name for picture in wanted if picture.scene == scene]:
            subprocess.run([*unshare(), *again, *names], check=True)


try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    Image = None

if __name__ == "__main__":
    main()

"""What Gemfile and Gemfile.lock say, without running them. https://bundler.io/man/gemfile.5.html"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.detect.scan import Scan

_GEM = re.compile(r"""^\s*gem[\s(]+(["'])(?P<name>[A-Za-z0-9_.-]+)\1(?P<rest>.*)$""")
_GROUP = re.compile(r"^\s*group[\s(]+(?P<names>[^\n]*?)\)?\s*do\b")
_OPENS = re.compile(r"\bdo\b(\s*\|[^|]*\|)?\s*$|^\s*(if|unless|case|begin|while)\b")
_COMMENT = re.compile(r"^=begin\b.*?(?:^=end\b[^\n]*|\Z)", re.MULTILINE | re.DOTALL)
_NEEDED = re.compile(r"""^\s*\w+\.add_(?:runtime_)?dependency[\s(]+["']([A-Za-z0-9_.-]+)["']""")
_ENDS = re.compile(r"^\s*end\b")
_INLINE_GROUP = re.compile(r"""(?:\bgroups?:|:groups?\s*=>)\s*(\[[^\]]*\]|:\w+|["']\w+["'])""")
_LOCKED = re.compile(r"^    ([A-Za-z0-9_.-]+) \(([^)\s]+)\)$", re.MULTILINE)
_RUBY = re.compile(r"""^\s*ruby[\s(]+(?P<rest>.+)$""")
# tools that make no application of the repository that lists them
TOOLS = frozenset(
    {"fastlane", "cocoapods", "rake", "rubocop", "html-proofer", "danger", "capistrano", "xcpretty", "bundler"}
    | {"xcodeproj", "activesupport", "concurrent-ruby", "mutex_m", "logger", "bigdecimal", "base64", "nkf", "benchmark"}
)
_APART = {"development", "test", "ci", "lint", "doc"}


@dataclass(frozen=True, slots=True)
class Gem:
    """A gem that the Gemfile asks for."""

    name: str
    line: int
    text: str
    path: str


@dataclass(slots=True)
class Gemfile:
    """The Gemfile, read. ``gems`` are those for production; ``locked`` maps every locked gem to its version."""

    path: str = "Gemfile"  # or gems.rb, which means the same
    lock: str = "Gemfile.lock"
    gems: dict[str, Gem] = field(default_factory=dict)
    development: dict[str, Gem] = field(default_factory=dict)
    locked: dict[str, str] = field(default_factory=dict)
    ruby: tuple[str, int] | None = None  # the requirement and its line
    ruby_file: str | None = None
    local: bool = False  # gems that lie in the repository
    reads: tuple[str, ...] = ()  # files that the Gemfile itself reads

    @property
    def all(self) -> set[str]:
        """Names of the gems that will be there, also those that others need."""
        return set(self.gems) | (set(self.locked) - set(self.development))


def read_gemfile(scan: Scan) -> Gemfile | None:
    """The manifest and its lock; None where there is none."""
    names = next(
        (pair for pair in (("Gemfile", "Gemfile.lock"), ("gems.rb", "gems.locked")) if scan.has(pair[0])), None
    )
    if names is None:
        return None
    found = Gemfile(*names)
    blocks: list[bool] = []  # for each open block, whether it is a group that production does without
    # what stands between =begin and =end is a comment, and so is all that comes after __END__
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), scan.text(found.path)).partition("\n__END__\n")[0]
    for number, raw in enumerate(text.split("\n"), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw)
        group = _GROUP.match(line)
        gem = _GEM.match(line)
        if _ENDS.match(line) and blocks:
            blocks.pop()
        elif group:
            blocks.append(_apart(group["names"]))
        elif gem:
            inline = _INLINE_GROUP.search(gem["rest"])
            apart = any(blocks) or (inline is not None and _apart(inline[1]))
            target = found.development if apart else found.gems
            target.setdefault(gem["name"], Gem(gem["name"], number, line.strip(), found.path))
            found.local = found.local or bool(re.search(r"\bpath:|:path\s*=>", gem["rest"]))
        elif _OPENS.search(line):
            blocks.append(False)
            found.local = found.local or bool(re.match(r"\s*path\b", line))
        elif re.match(r"\s*gemspec\b", line):
            found.local = True
            _specified(scan, found)
        else:
            _ruby(found, line, number)
    found.reads = tuple(dict.fromkeys([*([found.ruby_file] if found.ruby_file and scan.has(found.ruby_file) else [])]))
    found.locked = dict(_LOCKED.findall(scan.text(found.lock))) if scan.has(found.lock) else {}
    return found


def lists_only_tools(scan: Scan) -> bool:
    """Whether a Gemfile lists nothing but tools, as those of phones' applications do."""
    gemfile = read_gemfile(scan)
    return gemfile is not None and bool(gemfile.gems) and gemfile.gems.keys() <= TOOLS


def _specified(scan: Scan, found: Gemfile) -> None:
    """What the repository's own gem needs, where Rack's or Jekyll's file says that it is an application or a site."""
    specs = [path for path in scan.repository.inside("") if path.endswith(".gemspec")]
    for path in specs if scan.has("config.ru") or scan.has("_config.yml") else ():
        for number, line in enumerate(scan.text(path).split("\n"), 1):
            needed = _NEEDED.match(line)
            if needed:
                found.gems.setdefault(needed[1], Gem(needed[1], number, line.strip(), path))


def _apart(names: str) -> bool:
    groups = set(re.findall(r"\w+", names)) - {"optional", "true", "false"}
    return bool(groups) and groups <= _APART


def _ruby(found: Gemfile, line: str, number: int) -> None:
    match = _RUBY.match(line)
    if match is None:
        return
    named = re.search(r"""file:\s*["']([\w./-]+)["']|File\.read\(["']([\w./-]+)["']\)""", match["rest"])
    if named:
        found.ruby_file = named[1] or named[2]
        return
    if found.ruby is None and (
        versions := re.findall(r"""["']([^"']*\d[^"']*)["']""", match["rest"].split("engine")[0])
    ):
        found.ruby = ", ".join(versions), number

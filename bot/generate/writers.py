"""Who writes the files of which kind of application: a new stack is a new row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.detect import facts
from bot.generate import deno, docker, dotnet, elixir, go, jvm, node, php, python, ruby, rust, sites, static
from bot.generate.recipe import Recipe

Groups = tuple[tuple[str, tuple[str, ...]], ...]  # a word on why, and the patterns


def _nothing(_recipe: Recipe, _facts: Any) -> list[str] | None:
    return None


def _none(_facts: Any) -> Groups:
    return ()


@dataclass(frozen=True, slots=True)
class Writer:
    """Functions of one stack; each takes the facts of its own kind.

    ``dockerfile`` gives the text ("" where the repository has its own) and why it is so. ``probe`` gives the words of a
    check from inside, None where the image has nothing to run one. ``ignored`` gives what stays out of the build.
    """

    dockerfile: Callable[[Recipe, Any], tuple[str, list[str]]]
    probe: Callable[[Recipe, Any], list[str] | None] = _nothing
    ignored: Callable[[Any], Groups] = _none


WRITERS: Mapping[type, Writer] = {
    facts.NodeFacts: Writer(node.dockerfile, node.probe, node.ignored),
    facts.PythonFacts: Writer(python.dockerfile, python.probe, python.ignored),
    facts.GoFacts: Writer(go.dockerfile),
    facts.RustFacts: Writer(rust.dockerfile, ignored=rust.ignored),
    facts.PhpFacts: Writer(php.dockerfile, php.probe, php.ignored),
    facts.RubyFacts: Writer(ruby.dockerfile, ruby.probe, ruby.ignored),
    facts.JvmFacts: Writer(jvm.dockerfile, jvm.probe, jvm.ignored),
    facts.DotnetFacts: Writer(dotnet.dockerfile, dotnet.probe, dotnet.ignored),
    facts.ElixirFacts: Writer(elixir.dockerfile, elixir.probe, elixir.ignored),
    facts.StaticFacts: Writer(static.dockerfile),
    facts.DenoFacts: Writer(deno.dockerfile, deno.probe, deno.ignored),
    facts.SiteFacts: Writer(sites.dockerfile, ignored=sites.ignored),
    facts.DockerfileFacts: Writer(docker.dockerfile, ignored=docker.ignored),
}

"""What a .dockerignore leaves out: as Docker's own matcher says, and without ever hanging."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.dockerignore import IgnoreRules
from bot.errors import BerthError


# The answers of github.com/moby/patternmatcher 0.6.1 (ignorefile.ReadAll, MatchesOrParentMatches).
@pytest.mark.parametrize(
    ("text", "ignored", "kept"),
    [
        ("node_modules", ["node_modules", "node_modules/a/b.js"], ["src/node_modules", "node_modules2"]),
        ("/node_modules/", ["node_modules/x"], ["a/node_modules/x"]),
        ("*/temp*", ["somedir/temporary.txt", "somedir/temp", "somedir/temp/x"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["somedir/subdir/temporary.txt"], ["a/temp"]),
        ("temp?", ["tempa", "tempb"], ["temp", "tempab", "temp", "a/tempa"]),
        ("**/*.go", ["main.go", "a/main.go", "a/b/c.go"], ["main.gox"]),
        ("*.md\n!README.md", ["CHANGES.md"], ["README.md", "docs/x.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["README-secret.md", "a.md"], ["README.md", "README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["a.md"], ["README-secret.md", "README.md"]),
        ("# comment\n \n  a  \n#b\n !a/b ", ["a/x"], ["a/b", "#b", "b"]),
        (" # not a comment", ["# not a comment"], []),
        ("*\n!src\n!package.json", ["other"], ["src/a/b", "package.json", "src"]),
        ("**", ["a", "a/b"], []),
        ("**\n!a/b/**", ["a/x", "a/b"], ["a/b/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["b", "a/xb"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**/a", ["a", "x/a", "x/y/a/z"], ["xa"]),
        ("**a", ["a", "xa", "x/a", "x/ya"], ["ab"]),
        ("a**b", ["ab", "a/b", "ax/b"], ["axb"]),
        ("[ab].txt\n[^c]x\n[a-c]y", ["a.txt", "bx", "cy"], ["c.txt", "cx", "dy"]),
        ("a\\*b\n\\!c", ["a*b", "!c"], ["axb", "c"]),
        ("../a\n./b\nc/../d\n//e", ["b", "d", "e"], ["a", "c"]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)", "a.b"]),
        ("\ufefffoo", ["foo"], []),
        ("a\r\nb/\r\n", ["a", "b/c", "b"], []),
        ("!a", [], ["a", "b"]),
        ("dir\n!dir/keep\ndir/keep/secret", ["dir/x", "dir/keep/secret", "dir/keep/secret/z"], ["dir/keep/y"]),
        (".*\n!.env.example", [".env", ".git/config"], [".env.example", "a/.env"]),
        ("ö*/?", ["ölig/ä"], ["o/ä"]),
    ],
)
def test_the_rules_are_those_of_docker(text: str, ignored: list[str], kept: list[str]) -> None:
    rules = IgnoreRules(text)
    assert [path for path in [*ignored, *kept] if rules.ignores(path)] == ignored


@pytest.mark.parametrize("text", ["a\n[b", "[]", "[a-]", "[^]", "a\\", "!", "! ", "!/", "x" * 1001, "a\n" * 2001])
def test_a_wrong_pattern_is_named(text: str) -> None:
    with pytest.raises(BerthError, match=r"Line \d+ of the .dockerignore is not a valid pattern"):
        IgnoreRules(text)


def test_the_reason_names_the_rule() -> None:
    rules = IgnoreRules("# made\n\ndist\n*.log\n!keep.log\n")
    assert rules.reason("dist/app.js") == "line 3 (dist)"
    assert rules.reason("a.log") == "line 4 (*.log)"
    assert rules.reason("keep.log") is None
    assert rules.reason("src") is None


@pytest.mark.parametrize(
    "pattern",
    ["**/*a" * 30 + "b", "*a" * 400 + "b", "a**" * 200 + "b", "**/" * 300 + "b", "[a-z]*" * 150 + "!", "?" * 900],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.monotonic()
    rules = IgnoreRules(pattern)
    path = "/".join(["a" * 200] * 15)
    assert not rules.ignores(path)
    assert time.monotonic() - began < 20


names = st.sampled_from(["a", "b", "ab", "x.txt", ".env", "ü"])
patterns = st.lists(
    st.builds(
        lambda parts, exception: "!" * exception + "/".join(parts),
        st.lists(
            st.sampled_from(["a", "b", "*", "**", "?", "[ab]", "a*", "*.txt", "**b", "ü"]), min_size=1, max_size=4
        ),
        st.booleans(),
    ),
    max_size=5,
).map("\n".join)
paths = st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=12)


@settings(deadline=None, max_examples=300)
@given(patterns, paths)
def test_a_folder_that_is_skipped_holds_nothing_that_is_wanted(text: str, files: list[str]) -> None:
    rules = IgnoreRules(text)
    for file in files:
        *folders, name = file.split("/")
        entry = rules.root
        skipped = False
        for folder in folders:
            entry = rules.enter(entry, folder)
            skipped = skipped or rules.skips(entry)
        assert rules.enter(entry, name).ignored == rules.ignores(file)
        if skipped:
            assert rules.ignores(file)


def test_a_folder_without_exceptions_below_is_skipped() -> None:
    rules = IgnoreRules("*\n!src/keep\n!**/deep/file")
    node_modules = rules.enter(rules.root, "node_modules")
    source = rules.enter(rules.root, "src")
    assert node_modules.ignored
    assert source.ignored
    assert not rules.skips(source)
    assert not rules.skips(node_modules), "deep/file could be anywhere"
    rules = IgnoreRules("*\n!src/keep")
    assert rules.skips(rules.enter(rules.root, "node_modules"))
    assert not rules.skips(rules.enter(rules.root, "src"))
    assert rules.skips(rules.enter(rules.enter(rules.root, "src"), "other"))


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5))
def test_any_text_is_either_rules_or_a_clear_error(text: str, components: list[str]) -> None:
    try:
        rules = IgnoreRules(text)
    except BerthError:
        return
    else:
        rules.ignores("/".join(components))

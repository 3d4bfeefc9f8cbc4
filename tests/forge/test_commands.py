"""Which comments hold a command, and what it says."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.forge.commands import (
    MAX_BODY,
    MAX_LINE,
    REFUSED,
    VERBS,
    Command,
    NotUnderstood,
    Options,
    Refusal,
    options,
    parse,
    usage,
    written,
)

COMMANDS = {
    "/deploy": Command("deploy"),
    "/deploy\n": Command("deploy"),
    "\n\n/deploy stop\n": Command("stop"),
    "/deploy stop web": Command("stop", ("web",)),
    "/deploy\tstart  \t web \t": Command("start", ("web",)),
    "/deploy 'two words'": Command("deploy", ("two words",)),
    "/deploy STATUS": Command("status"),
    "/deploy abcdef1": Command("deploy", ("abcdef1",)),
    "/deploy logs run -n 50 web": Command("logs", ("run", "-n", "50", "web")),
    "/deploy rollback #12": Command("rollback", ("#12",)),
    "/deploy help": Command("help"),
    "Looks good.\n/deploy restart\nThanks!": Command("restart"),
    "Looks `good`.\r\n\r\n/deploy restart\r\n": Command("restart"),
    "Looks good.\r/deploy restart\rThanks!": Command("restart"),
    "> you wrote this\n\n/deploy stop": Command("stop"),
    "```\n/deploy start\n```\n/deploy stop": Command("stop"),
    "~~~~\n```\n/deploy start\n~~~\n~~~~\n/deploy stop": Command("stop"),
    "<!-- a template <details> -->\n\n/deploy stop": Command("stop"),
    "<details>\n\n/deploy start\n\n</details>\n\n/deploy stop": Command("stop"),
    "a <br> b <Button> c\n\n/deploy stop": Command("stop"),
    "# Heading\n/deploy stop": Command("stop"),
    "---\n/deploy stop": Command("stop"),
    "/deploy stop\n--\nAnn": Command("stop"),
    "- a list\n\n/deploy stop": Command("stop"),
    "2 < 3 and `a\n\n/deploy stop": Command("stop"),
    "<!-- it ends -->\n/deploy stop": Command("stop"),
    "/deploy stop `now`": Command("stop", ("`now`",)),
}
NONE = {
    "": "nothing",
    "Please /deploy stop": "not at the start of the line",
    " /deploy": "indented",
    "\t/deploy": "indented code",
    "    /deploy": "indented code",
    "> /deploy": "quoted",
    ">/deploy": "quoted",
    "> quoted\n/deploy": "goes on in the quote",
    "> - quoted\n/deploy": "goes on in the list of the quote",
    "- item\n/deploy": "goes on in the list",
    "* * /deploy": "in a list",
    "```\n/deploy\n```": "fenced",
    "```sh\n/deploy": "in a fence that does not end",
    "   ~~~\n/deploy\n   ~~~": "fenced",
    "````\n```\n/deploy\n````": "in a longer fence",
    "- a\n  ```\ntext\n  ```\n/deploy stop\n  ```": "in the fence that the end of the list's fence begins",
    "`\n/deploy\n`": "in a code span",
    "text ``\n/deploy ` stop\n``": "in a code span",
    "<!--\n/deploy\n-->": "in a comment",
    "<!--\n\n/deploy": "in a comment that does not end",
    "text <!--\n/deploy\n--> text": "in a comment",
    "<!-- <!--\n-->\n<!--\n/deploy\n-->": "in a comment",
    "<pre>\n/deploy\n</pre>": "in an element",
    "<div>\n/deploy\n</div>": "in a block of HTML, which shows no lines",
    "<blockquote>\n\n/deploy\n\n</blockquote>": "quoted by HTML",
    "<details><summary>x</summary>\n\n/deploy\n\n</details>": "folded away",
    "a <code>\n/deploy\n</code>": "code by HTML",
    '<a title="\n/deploy\n">x</a>': "in an attribute",
    "a | b\n- | -\n/deploy | c": "in a table",
    "[a]:\n/deploy": "an address that nobody sees",
    "/deployment": "another word",
    "/deploy-uat": "another word",
    "/deploy.": "another word",
    "/deploy: stop": "another word",
    "//deploy": "another word",
    "\\/deploy": "escaped",
    "**/deploy**": "emphasised",
    "/Deploy": "another word",
    "/DEPLOY": "another word",
    "/depl\u043ey": "a Cyrillic o",
    "/d\u0435ploy": "a Cyrillic e",
    "\uff0fdeploy": "a wide slash",
    "\u2044deploy": "a fraction slash",
    "/de\u200bploy": "a space of no width inside",
    "\u200b/deploy": "a space of no width before",
    "\ufeff/deploy": "a byte order mark before",
    "\u202e/deploy": "turned around",
    "/deploy\u00a0stop": "a space that does not break",
    "/deploy\u200b": "a space of no width behind",
    "text\u2028/deploy": "Unicode's line separator, which begins no line",
    "text\x0b/deploy": "a vertical tab, which begins no line",
    "text\x0c/deploy": "a form feed, which begins no line",
    "text\x85/deploy": "NEL, which begins no line",
    "/deploy\ue0000\ue000": "an imitation of the mark",
    "> /deploy\ue0000\ue000\n\ntext /deploy\ue0000\ue000\n\n```\n/deploy\n```": "an imitation of the mark",
    "/deploy\x00": "another word",
}
REFUSED_LINES = {
    "/deploy is broken": "word too many",
    "/deploy approve abcdef1": "no command 'approve'",
    "/deploy production": "no command 'production'",
    "/deploy 'a": "counterpart",
    "/deploy \\": "counterpart",
    "/deploy stop --all": "no option '--all'",
    "/deploy --no-cache": "no option '--no-cache'",
    "/deploy help me": "word too many",
    "/deploy stop a b": "word too many",
    "/deploy logs -n": "Behind -n",
    "/deploy logs -n 0": "Behind -n",
    "/deploy logs -n -1": "Behind -n",
    "/deploy logs -n ٣": "Behind -n",
    "/deploy rollback 3 abcdef1": "either a deployment or a commit",
    "/deploy stop \u200bweb": "invisible",
    "/deploy stop \u202egnp": "invisible",
    "/deploy stop \x1b[31m": "invisible",
    "/deploy stop " + "x" * 101: "100 characters",
    "/deploy ''": "1 to 100 characters",
    "/deploy " + "x" * MAX_LINE: "at most 200",
    "/deploy start\n/deploy stop": "several",
    "/deploy\n/deploy": "several",
    "/deploy start\n\n```\ncode\n```\n\n/deploy stop": "several",
    "/deploy\n" * 8_000: "several",
    "/deploy ѕtop now": "word too many",
}
words = st.text(alphabet=st.sampled_from("ab1-._ '\"\\`@#<>ſﬁ\u0430\u212a/"), max_size=12)
markdown = st.lists(
    st.sampled_from(
        [
            *(
                "/deploy",
                "/deploy stop",
                "/deploy ",
                "text",
                "`",
                "```",
                "~~~",
                "    ",
                "> ",
                ">",
                "- ",
                "1. ",
                "<!--",
                "-->",
            ),
            *(
                "<details>",
                "</details>",
                "<code>",
                "</code>",
                "\n",
                "\n",
                "\n",
                "\r\n",
                "\n\n",
                "|",
                "-|-",
                "---",
                "===",
                "\\",
            ),
            *("[a]: ", "#", "&", "\ue000", "0", "\t", "\u2028", "\x00", "<a b='", "'>", "<?", "?>"),
        ]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize("body", COMMANDS, ids=repr)
def test_a_line_that_a_reader_sees_as_a_command(body: str) -> None:
    assert parse(body) == COMMANDS[body]


@pytest.mark.parametrize("body", NONE, ids=lambda body: NONE[body])
def test_what_only_looks_like_a_command(body: str) -> None:
    assert parse(body) is None


@pytest.mark.parametrize("body", REFUSED_LINES, ids=lambda body: repr(body[:30]))
def test_what_was_meant_as_a_command_but_cannot_be_one(body: str) -> None:
    found = parse(body)
    assert isinstance(found, Refusal)
    assert REFUSED_LINES[body] in found.reason
    assert found.verb == REFUSED
    assert written(found.verb, found.arguments) == found.line
    assert found.line.isprintable()
    assert len(found.line) <= MAX_LINE


def test_a_letter_that_only_looks_like_one_of_a_verb_names_an_application() -> None:
    assert parse("/deploy \u0455top") == Command("deploy", ("\u0455top",))
    assert parse("/deploy rollbac\u212a") == Command("deploy", ("rollbac\u212a",))


@given(markdown)
@settings(max_examples=400)
def test_no_comment_is_too_odd(body: str) -> None:
    found = parse(body)
    if isinstance(found, Command):
        assert found.verb in VERBS
        options(found.verb, found.arguments)


@given(markdown)
@settings(max_examples=200)
def test_nothing_in_a_quote_or_a_fence_is_a_command(text: str) -> None:
    lines = text.replace("\r", "\n").split("\n")
    assert parse("\n".join(f"> {line}" for line in lines)) is None
    assert parse("\n".join(f"    {line}" for line in lines)) is None
    assert parse("\n".join(["`````", *(line for line in lines if "````" not in line), "`````"])) is None


@given(markdown)
@settings(max_examples=200)
def test_all_ends_of_lines_are_the_same(body: str) -> None:
    body = body.replace("\r", "")
    assert parse(body) == parse(body.replace("\n", "\r\n")) == parse(body.replace("\n", "\r"))


@given(st.sampled_from(VERBS), st.lists(words, max_size=4))
@settings(max_examples=300)
def test_a_command_is_quoted_as_it_would_be_read_again(verb: str, arguments: list[str]) -> None:
    found = parse(written(verb, tuple(arguments)))
    assert found is not None
    if isinstance(found, Command):
        assert parse(written(found.verb, found.arguments)) == found


def test_every_usage_is_understood() -> None:
    for verb in VERBS:
        line = usage(verb).replace("[COMMIT]", "abcdef1").replace("[build|run]", "run").replace("[-n LINES]", "-n 5")
        line = line.replace("[DEPLOYMENT|COMMIT]", "7").replace("[APPLICATION]", "web")
        found = parse(line)
        assert isinstance(found, Command), line
        assert found.verb == verb


def test_what_the_words_say() -> None:
    assert options("logs", ("build", "-n", "20000", "web")) == Options("web", log="build", lines=200)
    assert options("logs", ("run", "build")) == Options("build", log="run")
    assert options("rollback", ("#12", "web")) == Options("web", deployment=12)
    assert options("rollback", ("123456",)) == Options(deployment=123456)
    assert options("rollback", ("1234567",)) == Options(commit="1234567")
    assert options("rollback", ("#1234567",)) == Options(deployment=1234567)
    assert options("rollback", ("ABCDEF1",)) == Options(commit="abcdef1")
    assert options("deploy", ("ABCDEF1", "web")) == Options("web", commit="abcdef1")
    assert options("stop", ("abcdef1",)) == Options("abcdef1")
    with pytest.raises(NotUnderstood):
        options("deploy", ("abcdef1", "abcdef2", "web"))


LONGEST = 65_536
FLOODS = {
    "commands": "/deploy stop\n",
    "ticks": "`a",
    "quotes": ">",
    "lists": "- ",
    "comments": "a <!--",
    "tags": "<a b='",
    "declarations": "a <!A ",
    "sections": "a <![CDATA[",
    "references": "[a]: /b\n",
    "open references": "[a\n",
    "tables": "a|b\n-|-\nx|y\n",
    "lines": "\n",
    "backslashes": "\\",
    "underlined": "a\n=\n",
    "quoted fences": "> ```\n/deploy\n",
    "quoted fences in quotes": "> > ```\n> /deploy\n",
    "quotes in lists": "- > ```\n/deploy\n",
    "lines of a table": "-|-\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("flood", FLOODS)
def test_the_longest_comments_take_little_time(flood: str) -> None:
    """It grows with the length and not with its square: four times as much takes about four times as long."""
    quarter, whole = _seconds(flood, LONGEST // 4), _seconds(flood, LONGEST)
    assert whole < 2 or whole < 9 * quarter


def _seconds(flood: str, length: int) -> float:
    piece = FLOODS[flood]
    body = (piece * (length // len(piece)))[: length - 10] + "\n/deploy\n"
    began = time.process_time()
    parse(body)
    return time.process_time() - began


def test_a_command_behind_a_long_quote_is_found() -> None:
    assert parse("> a line\n" * 5_000 + "\n/deploy stop") == Command("stop")
    assert parse("> a line\n\nan answer\n\n" * 500 + "/deploy stop") == Command("stop")


def test_a_command_behind_a_long_text_is_found_and_what_no_forge_accepts_is_not_read() -> None:
    assert parse("word " * 13_000 + "\n\n/deploy stop") == Command("stop")
    assert parse("word " * (MAX_BODY // 5) + "\n\n/deploy stop") is None

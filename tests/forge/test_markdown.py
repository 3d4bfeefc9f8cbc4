"""What is hostile is shown as what it is: checked by a parser of Markdown, for any text."""

import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.deploy.masking import Masker
from bot.forge import markdown

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.text(
    st.one_of(st.sampled_from("`~\\*_[]()<>|#@!&$'\"-+=:/. \t\n\r\x1b[0mawgh1"), st.characters()), max_size=200
)
HIDDEN = "\u200b"


def shown(source: str) -> tuple[str, list[Token]]:
    """What a reader sees of one paragraph, and its tokens."""
    paragraph = MARKDOWN.parse(source)
    assert [token.type for token in paragraph] in (["paragraph_open", "inline", "paragraph_close"], [])
    children = (paragraph[1].children or []) if paragraph else []
    return "".join(token.content for token in children), children


@given(HOSTILE)
@example("```\n</details>\n# Out\n```")
@example("````\n```")
@example("`" * 5_000)
@example("a\r\n~~~\rb")
@example("\n\n    indented")
def test_nothing_breaks_out_of_a_fence(text: str) -> None:
    source = f"before\n\n{markdown.fenced(text, 'text')}\n\nafter"
    tokens = MARKDOWN.parse(source)
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    assert [token.type for token in tokens] == [*paragraph, "fence", *paragraph]
    fence = next(token for token in tokens if token.type == "fence")
    assert fence.info == "text"
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    wanted = re.sub("`{33,}", "`" * 32, markdown._UNSEEN.sub("", markdown._COLOURS.sub("", wanted))).rstrip("\n")
    assert fence.content == wanted + "\n"


@given(HOSTILE)
@example("```\n</details>")
@example("</details>\n\n```\nx")
def test_what_is_folded_stays_folded(text: str) -> None:
    source = f"{markdown.folded(text, markdown.fenced(text))}\n\nafter"
    html = MARKDOWN.render(source)
    assert html.count("<details") == html.count("</details>") == html.count("<summary>") == 1
    assert html.rstrip().endswith("</details>\n<p>after</p>")
    assert re.fullmatch(r"[^<>]*", html.partition("<summary>")[2].partition("</summary>")[0])


@given(HOSTILE)
@example("# a")
@example("1. a")
@example("a | b")
@example("<!-- x -->")
@example("![x](https://evil.example/y.png)")
def test_plain_text_means_nothing(text: str) -> None:
    escaped = markdown.text(text)
    seen, children = shown(escaped)
    assert {token.type for token in children} <= {"text", "text_special"}
    assert seen.replace(HIDDEN, "") == markdown.one_line(text, 1_000).replace(HIDDEN, "")
    assert not re.search(r"[@#][\w-]|://|www\.\w|gh-\d", seen, re.IGNORECASE)
    assert not re.search(r"[<>|`*]", escaped)
    row = MARKDOWN.render(f"| a | b |\n| --- | --- |\n| x {escaped} | last |\n")
    assert row.count("<td>") == 2


@given(HOSTILE)
@example("``")
@example(" ` ")
@example("`a`")
def test_code_is_code(text: str) -> None:
    _, children = shown(f"x {markdown.code(text)} y")
    wanted = markdown.one_line(text, 300)
    if wanted:
        assert [token.type for token in children] == ["text", "code_inline", "text"]
        assert children[1].content.strip() == wanted.strip()
    else:
        assert [token.type for token in children] == ["text"]


@given(HOSTILE)
@example("Use `berth set shop=1` now, or ask @ada.")
@example("`a``b`")
def test_sentences_hold_text_and_code(text: str) -> None:
    _, children = shown(f"x{markdown.sentence(text)}y")
    assert {token.type for token in children} <= {"text", "text_special", "code_inline"}


def test_a_fix_with_a_command() -> None:
    assert markdown.sentence("Use `berth set a=1`.") == "Use `berth set a=1`."
    assert markdown.sentence("Ask @ada, see #12.") == "Ask &#64;&#8203;ada, see &#35;&#8203;12."


@given(HOSTILE, HOSTILE)
def test_links_lead_where_they_should(label: str, rest: str) -> None:
    html = MARKDOWN.render("x " + markdown.link(label, f"http://127.0.0.1:1/{rest}"))
    targets = re.findall(r'href="([^"]*)"', html)
    assert html.count("<a ") == len(targets) <= 1
    assert all(target.startswith("http://127.0.0.1:1/") for target in targets)
    assert "href" not in MARKDOWN.render(markdown.link(label, f"javascript:{rest}"))


def test_an_excerpt_is_the_end_masked_and_short() -> None:
    lines = [f"line {number}" for number in range(100)]
    assert markdown.excerpt(lines).split("\n") == lines[-30:]
    assert markdown.excerpt([]) == ""
    assert markdown.excerpt(["\x1b[31mred\x1b[0m", "50%\r100%", "a\nb\x00"]) == "red\n100%\na b"
    masker = Masker(["hunter2hunter2"])
    assert "hunter" not in markdown.excerpt(["hunter2\x1b[1mhunter2", "ghp_" + "a" * 36], masker)
    assert "ghp_" not in markdown.excerpt(["ghp_" + "a" * 36])
    long = markdown.excerpt(["x" * 10_000] * 30)
    assert len(long) <= markdown.EXCERPT_CHARACTERS
    assert all(len(line) == 500 for line in long.split("\n"))


@given(st.lists(HOSTILE, max_size=40))
def test_any_excerpt_fits(lines: list[str]) -> None:
    text = markdown.excerpt(lines)
    assert len(text) <= markdown.EXCERPT_CHARACTERS
    assert text.count("\n") < markdown.EXCERPT_LINES
    assert "\x1b" not in text

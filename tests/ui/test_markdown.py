"""Tests of Markdown: the HTML that it becomes, and the HTML that is removed."""

import re
import time
import tracemalloc

import pytest

from channels_app.ui import markdown
from hub.sizes import MIB

HREF = re.compile(r'href="([^"]*)"')


def test_plain_markdown_with_headings_below_those_of_the_page() -> None:
    html = markdown.render(
        "# Title\n\nSome **bold** `code`.\n\n##### Deep\n\n- one\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"
    )

    assert "<h3>Title</h3>" in html
    assert "<h6>Deep</h6>" in html
    assert "<p>Some <strong>bold</strong> <code>code</code>.</p>" in html
    assert "<li>one</li>" in html
    assert '<td align="right">2</td>' in html


def test_links_have_rel_nofollow() -> None:
    html = markdown.render('[a](https://a.example/x "t") <http://b.example>\n')

    assert HREF.findall(html) == ["https://a.example/x", "http://b.example"]
    assert html.count('rel="nofollow ugc noopener"') == 2


@pytest.mark.parametrize(
    "target",
    [
        *("javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#10;script:alert(1)", "&#106;avascript:alert(1)"),
        *("data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "ftp://a.example/"),
        *("mailto:a@b.example", "//evil.example/x", "/accounts/logout", "../settings", "#top", "?x=1"),
    ],
)
def test_no_other_link_leads_anywhere(target: str) -> None:
    for text in (f"[x]({target})", f"[x](<{target}>)", f"<{target}>", f"[x][1]\n\n[1]: {target}\n", f"![x]({target})"):
        assert not HREF.findall(markdown.render(text))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<iframe src='https://evil.example'></iframe>",
        "<style>*{display:none}</style>",
        "<details open ontoggle=alert(1)>",
        "<form action='https://evil.example'><button>Sign in</button></form>",
        "`<script>alert(1)</script>`",
        "```<script>\n<script>alert(1)</script>\n```",
        "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
        "![<img src=x onerror=alert(1)>](https://a.example/x.png)",
        '[x](https://a.example "\\" onmouseover=alert(1) x=\\"")',
        "<!-- --><script>alert(1)</script>",
        "# <script>alert(1)</script>",
    ],
)
def test_html_in_markdown_is_escaped(text: str) -> None:
    html = markdown.render(text)

    tags = re.findall(r"<[^>]*>", html)
    assert not [tag for tag in tags if re.match(r"</?(script|img|svg|iframe|style|form|button|input)\b", tag)]
    assert not [tag for tag in tags if re.search(r"\son\w+=", re.sub(r'"[^"]*"', '""', tag))]
    assert not [tag for tag in tags if "style=" in tag]


def test_a_picture_becomes_its_words() -> None:
    html = markdown.render("[![Build <b>passing</b>](https://img.example/b.svg)](https://ci.example)")

    assert "<img" not in html
    assert ">Build &lt;b&gt;passing&lt;/b&gt;</a>" in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "![Build](https://img.example/b.svg)",
            '<a href="https://img.example/b.svg" rel="nofollow ugc noopener">Build</a>',
        ),
        ("![](https://img.example/b.svg)", '<a href="https://img.example/b.svg" rel="nofollow ugc noopener">Image</a>'),
        ("![Here](docs/b.svg)", "Here"),
        ('x <img alt="A &amp; B" src="https://img.example/b.svg"/>', 'rel="nofollow ugc noopener">A &amp; B</a>'),
        ('x <img alt="Here" src="b.svg">', "x Here"),
    ],
)
def test_image_becomes_a_link(text: str, html: str) -> None:
    found = markdown.render(text)

    assert html in found
    assert "<img" not in found


def test_linked_image_keeps_the_link_around_it() -> None:
    for text in (
        "[![Build](https://img.example/b.svg)](https://ci.example)",
        '<a href="https://ci.example"><img alt="Build" src="https://img.example/b.svg"></a>',
        'x <a href="https://ci.example"><img alt="Build" src="https://img.example/b.svg"></a>',
    ):
        html = markdown.render(text)
        assert HREF.findall(html) == ["https://ci.example"]
        assert ">Build</a>" in html


def test_details_hold_markdown() -> None:
    html = markdown.render("<details>\n<summary>More</summary>\n\nHidden *text*.\n\n</details>\n\nAfter")

    assert "<details>\n<summary>More</summary>\n<p>Hidden <em>text</em>.</p>\n</details>" in html
    assert html.endswith("<p>After</p>\n")


def test_html_headings_are_below_those_of_the_page() -> None:
    html = markdown.render('<h1 align="center">Title</h1>\n\n<h6>Deep</h6>')

    assert "<h3>Title</h3>" in html
    assert "<h6>Deep</h6>" in html


def test_unknown_tags_stay_readable_and_tags_of_the_look_go() -> None:
    html = markdown.render("A vector<int> in <center>the *middle*</center> <!-- note --> with H<sub>2</sub>O")

    assert html == "<p>A vector&lt;int&gt; in the <em>middle</em>  with H<sub>2</sub>O</p>\n"


def test_boxes_of_a_task_list_are_shown() -> None:
    html = markdown.render("- [x] done\n- [ ] open\n- [link](https://a.example)")

    assert "<li>\u2611 done</li>\n<li>\u2610 open</li>" in html
    assert ">link</a></li>" in html


def test_table_that_scrolls_is_reached_by_the_keyboard() -> None:
    assert '<table tabindex="0">' in markdown.render("| a |\n|---|\n| 1 |\n")


def test_code_that_scrolls_can_be_reached_by_the_keyboard() -> None:
    assert markdown.render("```python\nx = 1\n```") == '<pre tabindex="0"><code>x = 1\n</code></pre>\n'


def test_too_long_markdown_is_truncated() -> None:
    assert len(markdown.render("word " * 10_000)) < markdown.MAX_CHARACTERS + 100


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "![",
        "[a](",
        "*a ",
        "`a",
        "~~a",
        "> ",
        "- ",
        "<a",
        "<a '",
        '<a "',
        "<!--",
        "<img ",
        "</a>",
        "<div>\n",
        "&",
        "|a" * 100 + "\n",
    ],
)
def test_hostile_repetition_takes_no_time(text: str) -> None:
    begun = time.thread_time()
    markdown.render(text * markdown.MAX_CHARACTERS)
    assert time.thread_time() - begun < 3


@pytest.mark.parametrize("columns", [10, 50, 100, 400])
def test_a_table_that_would_be_filled_up_with_cells_stays_text(columns: int) -> None:
    text = f"{'|'.join('a' * columns)}\n{'|'.join('-' * columns)}\n" + "b\n" * 4000
    tracemalloc.start()
    html = markdown.render(text)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "<td>" not in html
    assert peak_bytes < 12 * MIB


def test_a_table_of_a_long_text_is_a_table() -> None:
    row = f"|{'|'.join('abcdef')}|\n"
    html = markdown.render(row + f"|{'|'.join('------')}|\n" + row * 100 + "\n\n" + "words\n" * 900)

    assert html.count("<td>") == 600

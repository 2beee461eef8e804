"""Tests of the documentation's Markdown."""

import pytest

from channels_app.docs import rendering


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a](s3.md#keys)", '<p><a href="/docs/s3#keys">a</a></p>\n'),
        ("[a](docs/s3.md)", '<p><a href="/docs/s3">a</a></p>\n'),
        ("[a](https://a.example/s3.md)", '<p><a href="https://a.example/s3.md">a</a></p>\n'),
        ("## A `b` & c", '<h2 id="a-b-c"><a href="#a-b-c">A <code>b</code> &amp; c</a></h2>\n'),
    ],
    ids=["page and fragment", "page of the README", "other site", "heading"],
)
def test_rendering_of_links_and_headings(text: str, html: str) -> None:
    assert rendering.render(text).html == html


def test_rendering_of_a_table_scrolls_without_styles_and_with_an_empty_corner() -> None:
    html = rendering.render("| | b |\n|---|--:|\n| c | d |\n").html
    assert html.startswith(rendering.TABLE_BEGIN)
    assert "<td></td>\n<th>b</th>" in html
    assert "style" not in html


def test_rendering_of_a_command_escapes_it_and_marks_its_blanks() -> None:
    html = rendering.render('```sh\ncurl -H "Bearer KEY" <FILE\n```').html
    assert '<code>curl <span>-H "Bearer</span> <var>KEY</var>" &lt;<var>FILE</var></code>' in html


def test_rendering_of_html_shows_it_as_text() -> None:
    assert rendering.render("<b>bold</b>").html == "<p>&lt;b&gt;bold&lt;/b&gt;</p>\n"


def test_rendered_lead_and_headings_are_plain_text() -> None:
    rendered = rendering.render("A `lead`\nof [two](s3.md) lines.\n\nMore.\n\n## First & *last*\n\n### Below\n")
    assert rendered.lead == "A lead\nof two lines."
    assert rendered.headings == (("first-last", "First & last"),)

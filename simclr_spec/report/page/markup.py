"""Elements of HTML and SVG: whatever is no markup already is escaped, so that no name can become any."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = ("meta", "br")


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


Attribute = str | int | bool | None
"""True stands without a value; False and None are left out."""


def joined(parts: Iterable[str], between: str = "") -> Html:
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(tag: str, /, *children: str, **attributes: Attribute) -> Html:
    """`element("p", "a < b", class_="note")` -> `<p class="note">a &lt; b</p>`; `_` within names becomes `-`."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{tag}{written}>" + ("" if tag in _VOID else f"{joined(children)}</{tag}>"))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def command(text: str) -> Html:
    """That a person may copy."""
    return element("code", text, class_="command")


def pairs(items: Iterable[tuple[str, str]]) -> Html:
    """Names and what they say."""
    return element("dl", *(joined((element("dt", name), element("dd", value))) for name, value in items))


def folded(summary: str, *children: str, **attributes: Attribute) -> Html:
    return element("details", element("summary", summary), *children, **attributes)


def opener(target: str, *children: str, **attributes: Attribute) -> Html:
    """The button that opens the popover of that id."""
    return element("button", *children, type="button", popovertarget=target, **attributes)


def popover(name: str, title: str, *children: str) -> Html:
    """What a button opens: a dialog with its title, which takes the focus, and a button that closes it."""
    heading = element("h3", title, id=f"{name}:title")
    close = element(
        "button", "Close", type="button", popovertarget=name, popovertargetaction="hide", class_="close", aria_label="Close"
    )
    head = element("div", heading, close, class_="head")
    attributes: dict[str, Attribute] = {"id": name, "popover": "auto", "role": "dialog", "aria_labelledby": f"{name}:title"}
    return element("div", head, *children, tabindex=-1, autofocus=True, **attributes)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], caption: str, class_: str = "plain") -> Html:
    """Of plain text or markup; the first column are headings of rows. It scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", title, scope="col") for title in heads))
    body = [element("tr", element("th", first, scope="row"), *(element("td", each) for each in rest)) for first, *rest in rows]
    inner = element("table", element("caption", caption), element("thead", head), element("tbody", *body), class_=class_)
    return scrolling(inner, caption)


def scrolling(inner: Html, name: str) -> Html:
    """By finger and, since it can be focused, by keyboard."""
    return element("div", inner, class_="scroll", role="region", aria_label=name, tabindex=0)

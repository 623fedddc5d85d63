"""A matrix as HTML that needs no script: settings of a method fold by themselves."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain

from bench.read.leaderboard.comparing import Interval
from bench.read.leaderboard.cost_plot import cost_plots
from bench.read.leaderboard.matrix import Line, Matrix, Number
from bench.read.tables.sources import DIFFERS
from bench.record.values import value_of
from bench.spec.names import NOTHING, passes_text


def matrices_html(matrices: Sequence[Matrix]) -> str:
    """Return the matrices one below the other, with links to each above them; nothing where there is none."""
    if not matrices:
        return ""
    links = [
        f'<li><a href="#{_id(one)}">{_text(_title(one))}</a> {_text(_of_what(one))}, {_count(one)}</li>'
        for one in matrices
    ]
    return "\n".join(['<ul class="contents">', *links, "</ul>", *map(_section, matrices)])


def _section(matrix: Matrix) -> str:
    changed = "".join(_tag(text, "strong") for text in matrix.changed)
    return "\n".join(
        [
            f'<section class="matrix" id="{_id(matrix)}">',
            f"<h3>{_text(_title(matrix))} <span>{_text(_of_what(matrix))}</span> {changed}</h3>",
            *(f'<p class="warning">{_text(warning)}</p>' for warning in matrix.warnings),
            *_methods(matrix),
            *(f'<p class="small">{_text(note)}</p>' for note in matrix.notes),
            *_further(matrix),
            *cost_plots(matrix),
            "</section>",
        ]
    )


def _title(matrix: Matrix) -> str:
    return matrix.track.title


def _of_what(matrix: Matrix) -> str:
    return " · ".join(matrix.setting)


def _count(matrix: Matrix) -> str:
    count = sum(line.competes for line in matrix.lines)
    return "1 method" if count == 1 else f"{count} methods"


def _id(matrix: Matrix) -> str:
    """Return a name that an address can end in."""
    parts = ("matrix", matrix.track.name, *matrix.setting, *matrix.changed)
    return "--".join(re.sub(r"[^\w.]+", "-", part) for part in parts)


def _methods(matrix: Matrix) -> Iterator[str]:
    several = len(matrix.defenses) > 1
    ranked = any(line.rank is not None for line in matrix.lines)
    summaries = [*(["Mean rank"] if ranked else []), *(["Worst case", "Mean"] if several else [])]
    beside = [value_of(field).title for field in matrix.track.beside]
    groups = [
        ("It rests on", ["Sets", "Victims"]),
        ("Under all of these" if several else "", summaries),
        ("Accuracy (%) by defense", [*map(_breakable, matrix.defenses)]),
        ("What is left", beside),
        ("Cost of a protected set", ["Passes", "Crafting (s)", "Surrogates (s)"]),
    ]
    groups = [(title, heads) for title, heads in groups if heads]
    width = 1 + sum(len(heads) for _, heads in groups)
    yield '<div class="scroll"><table class="methods">'
    yield f"<caption>Accuracy on clean test images by method and defense, {_text(_title(matrix))}</caption>"
    yield '<thead><tr><th scope="col" rowspan="2" class="method">Method</th>'
    yield from (f'<th scope="colgroup" colspan="{len(heads)}" class="first">{title}</th>' for title, heads in groups)
    yield "</tr><tr>"
    yield from (f'<th scope="col"{_first(i)}>{head}</th>' for _, heads in groups for i, head in enumerate(heads))
    yield "</tr></thead>"
    for line in matrix.lines:
        numbers = [
            [f"<td>{line.sets}</td>", f"<td>{line.victims}</td>"],
            [*([_rank(line.rank)] if ranked else []), *([_interval(line.worst), _interval(line.mean)] * several)],
            [_number(line.numbers.get(defense)) for defense in matrix.defenses],
            [_audit(line, field) for field in matrix.track.beside],
            _costs(line),
        ]
        cells = [_begin(cell) if i == 0 else cell for group in numbers for i, cell in enumerate(group)]
        yield f'<tbody{_kinds(line)}><tr><th scope="row" class="method">{_naming(line)}</th>{"".join(cells)}</tr>'
        if line.variants:
            yield f'<tr class="fold"><td colspan="{width}">{_variants(line, matrix)}</td></tr>'
        yield "</tbody>"
    yield "</table></div>"


def _begin(cell: str) -> str:
    return re.sub(
        r'^<td(?: class="([^"]*)")?', lambda found: f'<td class="{" ".join(filter(None, [found[1], "first"]))}"', cell
    )


def _first(index: int) -> str:
    return ' class="first"' if index == 0 else ""


def _kinds(line: Line) -> str:
    kinds = [*(["reference"] if line.reference else []), *(["weak"] if line.weak else [])]
    return f' class="{" ".join(kinds)}"' if kinds else ""


def _naming(line: Line) -> str:
    parts = [f'<span class="name">{_text(line.method)}</span>']
    parts += [_tag(f"{line.reference} reference")] if line.reference else []
    if not line.reference:
        parts += [f'<span class="small" title="{escape(line.chosen or "")}">{_text(_setting(line))}</span>']
    return "".join([*parts, _reasons(line)])


def _reasons(line: Line) -> str:
    """Return what sets the line apart, and why it weighs less."""
    return "".join(f" {tag}" for tag in [*map(_tag, line.tags), *(_tag(reason, "why") for reason in line.weak)])


def _setting(line: Line) -> str:
    """Return which setting of the method it is, and why this one."""
    if not line.parameters:
        return "default setting"
    declared = (line.chosen or "").startswith("the one setting of")
    return f"{line.parameters} ({'declared' if declared else line.chosen})" if line.chosen else line.parameters


def _variants(line: Line, matrix: Matrix) -> str:
    """Return the method's other settings in a fold."""
    measured = set(chain.from_iterable(one.numbers for one in line.variants))
    defenses = [one for one in (*matrix.defenses, *matrix.further) if one in measured]
    heads = ["Setting", "Sets", "Victims", *map(_breakable, defenses), "Passes"]
    rows = [
        f'<tr{_kinds(one)}><th scope="row">{_text(_setting(one))}{_reasons(one)}</th>'
        f"<td>{one.sets}</td><td>{one.victims}</td>"
        f"{''.join(_number(one.numbers.get(defense)) for defense in defenses)}{_costs(one)[0]}</tr>"
        for one in line.variants
    ]
    count = f"{len(rows)} more setting{'s' * (len(rows) > 1)} of {line.method}"
    return f"<details><summary>{_text(count)}</summary>{_plain_table(heads, rows)}</details>"


def _further(matrix: Matrix) -> Iterator[str]:
    """Yield what was measured for fewer than half of the methods, in a fold."""
    if not matrix.further:
        return
    lines = [line for line in matrix.lines if any(one in line.numbers for one in matrix.further)]
    rows = [
        f'<tr><th scope="row">{_text(line.method)}</th>'
        f"{''.join(_number(line.numbers.get(defense)) for defense in matrix.further)}</tr>"
        for line in lines
    ]
    count = len(matrix.further)
    defenses = f"{count} more defense{'s' * (count > 1)}"
    yield f"<details><summary>Under {defenses}, measured for fewer than half of the methods</summary>"
    yield f"{_plain_table(['Method', *map(_breakable, matrix.further)], rows)}</details>"


def _plain_table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    table = f'<table class="folded"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _number(number: Number | None) -> str:
    if number is None:
        return f'<td class="none">{NOTHING}</td>'
    mean = f"<b>{number.mean:.1f}</b>" if number.best else f"{number.mean:.1f}"
    below = "one run" if number.half_width is None else f"± {number.half_width:.1f}"
    published = "".join(
        f'<span class="published" title="{escape("; ".join(filter(None, [one.source, one.differs])))}">'
        f"published {one.test_acc:g}{DIFFERS if one.differs else ''}</span>"
        for one in number.published
    )
    return f'<td{_class(number)}>{mean}<span class="spread">{below}</span>{published}</td>'


def _class(number: Number) -> str:
    return ' class="best"' if number.best else ""


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return f'<td class="none">{NOTHING}</td>'
    half = interval.half_width
    return f'<td>{interval.mean:.1f}<span class="spread">{"one run" if half is None else f"± {half:.1f}"}</span></td>'


def _rank(rank: Interval | None) -> str:
    if rank is None:
        return f'<td class="none">{NOTHING}</td>'
    spread = "" if rank.low is None else f'<span class="spread">{rank.low:.1f} to {rank.high:.1f}</span>'
    return f'<td class="rank">{rank.mean:.1f}{spread}</td>'


def _audit(line: Line, field: str) -> str:
    value = line.beside.get(field)
    return f"<td>{NOTHING if value is None else f'{value:.{value_of(field).decimals}f}'}</td>"


def _costs(line: Line) -> list[str]:
    passes, *seconds = line.costs.values()
    texts = [NOTHING if passes is None else passes_text(passes), *map(_seconds, seconds)]
    return [f"<td>{text}</td>" for text in texts]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return f"{seconds:,.0f}" if seconds >= 10 or not seconds else f"{seconds:.1g}"


def _tag(text: str, kind: str = "") -> str:
    return f'<span class="{" ".join(filter(None, ["tag", kind]))}">{_text(text)}</span>'


def _breakable(text: str) -> str:
    """Return a long name with places where a line may end."""
    return re.sub(r"([:,+=-])", r"\1<wbr>", _text(text))


def _text(text: str) -> str:
    return escape(text, quote=False)

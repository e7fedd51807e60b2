"""The report: what it shows, what it must never hold, and that its two forms agree."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_results import METRICS, results

from synthehr.errors import ConfigError, SynthehrError
from synthehr.evaluation.charts import overlay
from synthehr.evaluation.report import Report
from synthehr.evaluation.results import ColumnKind, Histogram

NAMES = ("stroke", "admitted", "age", "smoking_status", "bmi", "glucose", "sex", "weight")
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</script></style></svg><svg onload=document.title='owned'>",
    "{{7*7}}{% raw %}",
    "javascript:document.title='owned'",
    "$x^2$ $\\frac{1}{0}$",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "\u202edesrever\u202c \U0001f9e0 名前",
    "<!-- --> ]]> &amp; <b>",
)
FORBIDDEN = ("anonym", "complian", "gdpr", "hipaa", "risk-free", "privacy score")
RECORD = {"model": "autoregressive", "seed": 42, "training": {"learning_rate": 1e-05}}


class Page(HTMLParser):
    """Tags, attributes, texts and figures of a page, and where elements nest wrongly."""

    EMPTY = frozenset({"meta", "link", "img", "br", "path", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            self.figures.append(dict(attrs)["value"] or "")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(results(NAMES), RECORD)


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return report.to_html()


@pytest.fixture(scope="module")
def hostile() -> str:
    return Report(results(HOSTILE, levels=HOSTILE), {HOSTILE[0]: HOSTILE[1]}).to_html()


def test_sections_stand_in_order(html: str) -> None:
    page = Page(html)
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        "summary", "schema", "columns", "pairs", "detection", "utility", "rebalancing", "groups",
        "rules", "missingness", "coverage", "privacy", "similarity", "record", "reading",
    ]  # fmt: skip
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{section}" for section in sections]
    assert page.count("h1") == 1
    assert page.count("h2") == len(sections)
    assert page.open == []


def test_tables_and_charts_can_be_read_aloud(html: str) -> None:
    page = Page(html)
    assert page.count("caption") == page.count("table") > 10
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) > 20
    assert all(a.get("aria-hidden") or (a["role"] == "img" and a["aria-label"]) for a in drawings)
    assert all(attributes["scope"] for tag, attributes in page.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_equal_results_give_equal_bytes(html: str, report: Report) -> None:
    again = Report(results(NAMES), RECORD)
    assert again.to_html() == html
    assert again.to_json() == report.to_json()
    assert Report(results(NAMES[::-1]), RECORD).to_html() != html


def test_page_is_self_contained_and_locked(html: str) -> None:
    assert re.findall(r"https?:|//[a-z]|url\(|@import|xmlns", html) == []
    page = Page(html)
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"} == set()
    assert [a for _, a in page.tags if "style" in a or any(n.startswith("on") for n in a)] == []
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert len(policies) == 1
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'; ")
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policies[0]


def test_hostile_names_and_levels_are_text(hostile: str) -> None:
    page = Page(hostile)
    assert {tag for tag, _ in page.tags} & {"script", "img", "b", "iframe"} == set()
    assert [a for _, a in page.tags if any(name.startswith("on") for name in a)] == []
    assert [a for _, a in page.tags if "javascript:" in (a.get("href") or "")] == []
    assert page.open == []
    text = "".join(page.texts)
    for name in HOSTILE[:6]:
        assert name in text
    assert "line⏎break⇥tab\ufffdnul\ufffd[31m" in text
    assert "\u202e" not in hostile
    assert "\x00" not in hostile


def test_a_browser_runs_nothing(hostile: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    browser = browser or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    # the escaping has to hold by itself, so the policy is taken away
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", hostile)
    assert bare != hostile
    probe = "<!doctype html><title>before</title><script>document.title='owned'</script>"
    titles = {}
    for name, text in (("probe", probe), ("bare", bare)):
        page = tmp_path / f"{name}.html"
        page.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
            ],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )  # fmt: skip
        if "<title>" not in done.stdout:
            pytest.skip("Chromium does not start on this machine")
        titles[name] = re.findall(r"<title>(.*?)</title>", done.stdout)[0]
        if name != "probe":
            assert re.findall(r"<(script|img|b|iframe)\b", done.stdout) == []
    assert titles == {"probe": "owned", "bare": "Synthetic data report · synthehr"}


def test_json_and_page_hold_the_same_numbers(html: str, report: Report) -> None:
    stored = json.loads(report.to_json())
    numbers: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers.add(json.dumps(float(value)))

    collect(stored)
    figures = Page(html).figures
    assert len(figures) > 150
    # the share of covered levels is a quotient of two stored counts
    assert {float(figure) for figure in figures} - {float(n) for n in numbers} == {0.75}
    for metric in stored["metrics"].values():
        for key in ("value", "ceiling", "low", "high"):
            assert metric[key] is None or json.dumps(metric[key]) in figures


def test_json_is_strict_and_stable(report: Report) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    stored = json.loads(report.to_json(), parse_constant=refuse)
    assert list(stored["metrics"]) == [metric.name for metric in METRICS]
    assert stored["metrics"]["trend"] == {
        "reading": "far", "section": "fidelity", "value": 0.8613, "ceiling": 0.9641,
        "low": 0.8552, "high": 0.8684, "better": "higher", "detail": "",
    }  # fmt: skip
    assert stored["metrics"]["alpha_precision"]["value"] is None
    assert stored["metrics"]["exact_copies"]["reading"] == "unread"
    assert stored["record"]["training"]["learning_rate"] == 1e-05
    assert [column["name"] for column in stored["columns"]] == list(NAMES)
    assert len(stored["pairs"]) == len(NAMES) * (len(NAMES) - 1) // 2


def test_no_word_promises_too_much(html: str, report: Report) -> None:
    for text in (html, report.to_json(), "\n".join(report.summary())):
        assert [word for word in FORBIDDEN if word in text.lower()] == []
    assert "similarity, not a verdict" in html.lower()
    assert "contains statistics of real patients" in html
    assert "contains statistics of real patients" in report.to_json()


def test_wide_tables_are_limited_and_say_so() -> None:
    html = Report(results(tuple(f"column_{i}" for i in range(300)))).to_html()
    page = Page(html)
    labels = [a.get("aria-label") or "" for tag, a in page.tags if tag == "svg"]
    assert sum(label.endswith("synthetic over real.") for label in labels) == 60
    text = " ".join("".join(page.texts).split())
    assert "Shown: the 60 most different of 300 distributions." in text
    assert "Shown: the 200 most different of 300 columns." in text
    assert len(html) < 2_000_000


def test_empty_sections_do_not_break_the_page() -> None:
    few = results(("only",))
    bare = type(few)(
        **{
            **{name: getattr(few, name) for name in few.__dataclass_fields__},
            "metrics": (), "pairs": None, "histograms": (), "calibration": (),
            "rare_levels": (), "membership": (), "disclosure": (), "caps": (),
            "not_measurable": (), "target": None, "groups": (), "rules": (), "rebalancing": (),
            "rows": (20, 20, 0), "patients": (10, 20, 0), "ceiling_from": "halves",
        }
    )  # fmt: skip
    page = Page(Report(bare).to_html())
    assert page.open == []
    assert "pairs" not in [attributes.get("id") for _, attributes in page.tags]
    json.loads(Report(bare).to_json())
    assert "none held out" in Report(bare).summary()[0]


@pytest.mark.parametrize(
    "edges",
    [(3.0, 3.0, 4.0), (-8e307, 0.0, 8e307), (0.0, 5e-311, 1e-310), (1e15, 1e15 + 1, 1e15 + 2)],
)
@pytest.mark.parametrize("kind", ["number", "date"])
def test_strange_ranges_are_drawn(edges: tuple[float, ...], kind: ColumnKind) -> None:
    nothing = float("nan")
    chart = overlay(Histogram("x", kind, edges, (), (0.5, 0.5), (0.5, 0.5), (0.5, nothing)))
    assert chart.startswith("<svg") and "nan" not in chart


def test_bins_of_too_few_patients_are_gaps() -> None:
    held_out = {}
    for last in (0.0, float("nan")):
        shares = (0.5, 0.5, last)
        chart = overlay(Histogram("x", "number", (0, 1, 2, 3), (), shares, shares, shares))
        (line,) = re.findall(r'<path[^>]*class="s-holdout"[^>]*>', chart)
        held_out[last == 0] = line
    assert held_out[True] != held_out[False]


def test_levels_are_not_read_as_formulas() -> None:
    shares = (0.5, 0.5)
    chart = overlay(Histogram("x", "category", (), ("$a_b$", r"$\frac$"), shares, shares))
    assert "$a_b$" in chart
    assert r"$\frac$" in chart


def test_summary_says_what_is_good_and_what_is_not(report: Report) -> None:
    lines = report.summary()
    blocks = "\n".join(lines).split("\n\n")
    assert [block.splitlines()[0] for block in blocks[1:]] == [
        "close to real", "gives the fake away",
        "attacks (the line of EMA Policy 0070 and Health Canada is at a risk of 9\u00a0%)",
        "privacy figures (similarity, not a verdict)", "not measurable",
    ]  # fmt: skip
    assert "0.979" in blocks[1]
    assert "0.747" in blocks[1], "the ceiling lies within the interval"
    assert "0.861" in blocks[2].splitlines()[1], "worst first, each on its section's scale"
    assert "81.5" in blocks[2].splitlines()[2]
    assert "50.6" in blocks[4]


def test_attacks_are_told_with_their_intervals_and_no_grade(report: Report, html: str) -> None:
    told = report.summary()
    attacks = told[told.index(next(line for line in told if line.startswith("attacks"))) + 1 :]
    sentences = [line.replace("\u00a0", " ") for line in attacks[:4]]
    assert sentences[0] == (
        "  - Training patients were not told from held-out ones: AUROC 0.521 (0.509 to 0.533); "
        "held-out from held-out 0.476 to 0.524, by chance 0.5."
    )
    assert "1.2 % (0.7 % to 2.1 %) of training patients at 1 % false alarms" in sentences[1]
    assert sentences[2].endswith("the upper end is above the line of 9 %.")
    assert sentences[3].endswith("the upper end is below the line of 9 %.")
    for sentence in attacks[:4]:
        assert sentence.removeprefix("  - ") in html
    stored = json.loads(report.to_json())
    assert stored["membership"][0]["auc"] == {"value": 0.5212, "low": 0.5093, "high": 0.5334}
    assert stored["membership"][1]["tpr_01"] is None
    assert stored["disclosure"][0]["naive"]["value"] == 0.0025
    assert stored["metrics"]["membership_auc"]["reading"] == "unread"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"shape": 0.97, "detection_auroc": 0.9, "nearer_to_training": 0.55}, []),
        ({"shape": 0.98}, ["shape: 0.979 is below the limit (at least 0.98;"]),
        ({"detection_auroc": 0.6}, ["detection_auroc: 0.815 is above the limit (at most 0.6;"]),
        ({"nearer_to_training": 0.52}, ["worse end of its interval, 0.524, is above"]),
        ({"nearer_to_training": 0.49}, ["worse end of its interval, 0.488, is below"]),
        ({"membership_auc": 0.55, "linkability": 0.1}, []),
        ({"membership_auc": 0.53}, ["worse end of its interval, 0.533, is above"]),
        ({"exact_copies": 0.001}, ["worse end of its interval, 0.001, is above"]),
        ({"alpha_precision": 0.1}, ["alpha_precision: it has no finite value"]),
        ({"shape": 0.98, "trend": 0.9}, ["shape", "trend"]),
    ],
)
def test_limits(report: Report, limits: dict[str, float], said: list[str]) -> None:
    failures = report.failures(limits)
    assert len(failures) == len(said)
    for sentence, part in zip(failures, said, strict=True):
        assert part in sentence


def test_unknown_limits_are_refused(report: Report) -> None:
    with pytest.raises(ConfigError, match="did you mean shape"):
        report.failures({"shapes": 0.9})
    with pytest.raises(ConfigError, match="figures of this report: shape"):
        report.failures({"qqqq": 0.9})
    with pytest.raises(ConfigError, match="not a finite number"):
        report.failures({"shape": float("nan")})


def test_files_are_not_overwritten_unasked(report: Report, html: str, tmp_path: Path) -> None:
    report.to_html(tmp_path / "r.html")
    report.to_json(tmp_path / "r.json")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == html
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["seed"] == 7
    with pytest.raises(SynthehrError):
        report.to_html(tmp_path / "r.html")
    report.to_json(tmp_path / "r.html", force=True)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("{")


def test_charts_are_drawn_only_when_asked_for() -> None:
    code = "import sys, synthehr.evaluation.report, synthehr.evaluation.page; " + (
        "sys.exit('matplotlib' in sys.modules or 'jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

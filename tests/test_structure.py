"""The shape of the source, held by numbers. They may be tightened; loosening one needs a reason.

`make check` runs this file: it imports synthehr in fresh processes and reads the rest as syntax.
"""

from __future__ import annotations

import ast
import graphlib
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "synthehr"

LONGEST_FILE = 350
MEDIAN_FILE = 140
LONGEST_FUNCTION = 70  # docstrings are not counted
LONG_FUNCTION = 45  # the longest twentieth of all functions may pass this
MOST_FIELDS = 12  # of a config, and arguments of a constructor
DEEPEST_CLASS = 2  # an interface, and one final class below it

BLIND_EXCEPTS = {
    "synthehr/cli.py": 1,  # the outermost frame: unexpected errors without their text
    "synthehr/io/frames.py": 1,  # data-frame libraries have their own exceptions; some show cells
}
EXCUSES = re.compile(r"#\s*(type:\s*ignore|noqa|pyright:|TODO|FIXME|XXX)|raise NotImplementedError")
RUNS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NETWORK = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "requests", "httpx", "aiohttp"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "eval", "exec", "pd.read_pickle", "print_exc"}
MODEL_NAMES = {"autoregressive", "vae", "gan", "cgan", "gain"}
HEAVY = ("torch", "sklearn", "scipy", "matplotlib", "sdmetrics", "pandas", "polars", "pyarrow")

# Data goes one way: a room imports rooms that stand before it, and nothing calls back up.
ROOMS = (
    ("errors",),
    ("config", "arrow_types", "kernels", "seeds", "split"),
    ("schema", "io", "container"),
    ("encode",),
    ("models", "batches", "demo", "families"),
    ("train",),
    ("privacy",),
    ("artifact", "modes"),
    ("evaluation",),
    ("run", "gates", "inspection"),
    ("synthesizer", "sequence_synthesizer", "image_synthesizer"),
    ("release", "estimators"),
    ("commands", "cli"),
)


@cache
def sources() -> dict[str, ast.Module]:
    """Syntax tree of every module of the package, by dotted name."""
    return {_name(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines() -> dict[str, int]:
    return {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function, with a name to find it by."""
    for module, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}:{node.lineno} {node.name}", node


def all_classes() -> list[ast.ClassDef]:
    """Every class of the package."""
    return [n for t in sources().values() for n in ast.walk(t) if isinstance(n, ast.ClassDef)]


def classes() -> dict[str, ast.ClassDef]:
    """Every class by name."""
    return {node.name: node for node in all_classes()}


def _called(node: ast.AST) -> str:
    """Dotted name of an expression, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _called(node.value)):
        return f"{before}.{node.attr}"
    return ""


def test_files_are_short() -> None:
    lines = _lines()
    assert {name: n for name, n in lines.items() if n > LONGEST_FILE} == {}
    filled = [n for n in lines.values() if n > 3]
    assert statistics.median(filled) <= MEDIAN_FILE


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    told = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if told else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_loop_privacy_and_model_file_know_nothing_of_images() -> None:
    shared = [*PACKAGE.glob("train/*.py"), *PACKAGE.glob("privacy/*.py"), PACKAGE / "artifact.py"]
    told = re.compile(r"image|pixel", re.IGNORECASE)
    assert [path.name for path in shared if told.search(path.read_text())] == []


def test_functions_are_short() -> None:
    lengths = {name: _length(node) for name, node in functions()}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}
    ordered = sorted(lengths.values())
    assert ordered[int(0.95 * len(ordered))] <= LONG_FUNCTION


def test_public_signatures_name_what_they_take() -> None:
    open_ended = [
        name
        for name, node in functions()
        if node.args.kwarg is not None and not node.name.startswith("_")
    ]
    assert open_ended == []


def test_a_name_is_one_class() -> None:
    names = [node.name for node in all_classes() if not node.name.startswith("_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_configs_and_constructors_are_small() -> None:
    large = {}
    for name, node in classes().items():
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        constructors = [
            n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"
        ]
        arguments = [len(n.args.args) - 1 + len(n.args.kwonlyargs) for n in constructors]
        chosen = name.endswith(("Config", "Options"))
        large[name] = max([len(fields) if chosen else 0, *arguments])
    assert {name: n for name, n in large.items() if n > MOST_FIELDS} == {}


def test_a_class_is_an_interface_or_final() -> None:
    ours = classes()

    def depth(name: str) -> int:
        bases = [_called(base).split(".")[-1] for base in ours[name].bases]
        return 1 + max((depth(base) for base in bases if base in ours), default=0)

    assert {name: depth(name) for name in ours if depth(name) > DEEPEST_CLASS} == {}


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _called(node.test).endswith("TYPE_CHECKING")


def _imported(module: str, tree: ast.Module, *, lazy: bool) -> Iterator[str]:
    """Modules of the package that a module imports, at import time or (`lazy`) at any time."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if _typing_only(node) or (not lazy and isinstance(node, ast.FunctionDef | ast.Lambda)):
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in sources())
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                home = whole if whole in sources() else node.module
                if home in sources():
                    yield str(home)


def test_no_import_cycles() -> None:
    graph = {name: set(_imported(name, tree, lazy=False)) for name, tree in sources().items()}
    graph.pop("synthehr.__main__", None)
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_data_goes_one_way() -> None:
    rank = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}
    backwards, unknown = [], set()
    for name, tree in sources().items():
        room = name.split(".")[1] if "." in name else ""
        if room in ("", "__main__"):
            continue
        unknown |= {room} - set(rank)
        for other in _imported(name, tree, lazy=True):
            target = other.split(".")[1] if "." in other else ""
            if target and rank.get(target, 0) > rank.get(room, 99):
                backwards.append(f"{name} imports {other}")
    assert backwards == []
    assert unknown == set(), "give the new room a place in ROOMS"


def test_nothing_runs_code_from_files_or_talks_to_a_network() -> None:
    found = []
    for name, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Call) and _called(node.func) in FORBIDDEN_CALLS:
                roots = {_called(node.func)}
                found.append(f"{name}:{node.lineno} {roots}")
                continue
            else:
                continue
            if roots & (RUNS_CODE | NETWORK):
                found.append(f"{name}:{node.lineno} {roots}")
    assert found == []


def test_no_branch_on_the_name_of_a_model() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for leaf in ast.walk(node)
        if isinstance(leaf, ast.Constant) and leaf.value in MODEL_NAMES
    ]
    assert found == []


def test_no_excuses() -> None:
    excuses, blind = [], {}
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        name, text = str(path.relative_to(ROOT)), path.read_text()
        excuses += [f"{name}: {match.group()}" for match in EXCUSES.finditer(text)]
        if count := len(re.findall(r"except (Base)?Exception|except:", text)):
            blind[name] = count
    assert excuses == []
    assert blind == BLIND_EXCEPTS


def test_tests_do_not_replace_our_own_code() -> None:
    replaced = re.compile(r"unittest\.mock|MagicMock|mocker\.|monkeypatch\.setattr\(\s*[\"']?synth")
    here = Path(__file__).name
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.name != here]
    assert [path.name for path in tests if replaced.search(path.read_text())] == []


def test_no_path_of_a_machine() -> None:
    # assembled, so that this file does not find itself
    pattern = re.compile(r"(?<![\w.~/])/" + "(work|root|home|farm|opt)/")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    texts = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".j2", ".css", ""}
    found = [
        name
        for name in listed.stdout.splitlines()
        if (ROOT / name).is_file()
        and (ROOT / name).suffix in texts
        and pattern.search((ROOT / name).read_text(errors="ignore"))
    ]
    assert found == []


def _fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "action",
    [
        "import synthehr",
        "import synthehr.errors",
        "from synthehr.cli import main\n"
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])",
    ],
    ids=["import", "errors", "help"],
)
def test_starting_is_light(action: str) -> None:
    modules = json.loads(
        _fresh(f"{action}\nimport json, sys\nprint(json.dumps(list(sys.modules)))")
    )
    assert "synthehr" in modules
    assert sorted({name.split(".")[0] for name in modules} & set(HEAVY)) == []


def test_importing_changes_nothing() -> None:
    code = """
import importlib, json, logging, os, random, warnings
import matplotlib, numpy, pandas, pyarrow, sklearn, torch
import typer, jinja2, narwhals, safetensors
import sklearn.ensemble, matplotlib.pyplot
def state():
    return {
        "environment": dict(os.environ), "filters": [str(f) for f in warnings.filters],
        "handlers": [str(h) for h in logging.getLogger().handlers],
        "numpy": str(numpy.random.get_state()[1][:4]), "random": hash(random.getstate()),
        "torch": [str(torch.get_default_dtype()), torch.get_num_threads(), torch.initial_seed(),
                  torch.are_deterministic_algorithms_enabled()],
        "matplotlib": str(dict(matplotlib.rcParams)), "folder": os.getcwd(),
        "pandas": pandas.get_option("display.max_rows"),
    }
before = state()
for name in NAMES:
    importlib.import_module(name)
after = state()
print(json.dumps([key for key in before if before[key] != after[key]]))
"""
    names = [name for name in sources() if name not in ("synthehr.__main__",)]
    assert _fresh(f"NAMES = {names!r}\n{code}") == "[]\n"


def test_the_public_names_are_these() -> None:
    import synthehr

    assert synthehr.__all__ == sorted(synthehr.__all__)
    for name in synthehr.__all__:
        assert getattr(synthehr, name) is not None
        assert name in dir(synthehr)

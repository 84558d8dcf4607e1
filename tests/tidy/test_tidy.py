"""Properties of the source itself. Each rule is a function that yields complaints.

Every rule is also shown a sample that breaks it: a rule that can not complain is no rule.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "objstore").rglob("*.py"))

MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
JUNK_DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "types"}
SUPERLATIVES = ("blazing", "lightning", "ultra-fast", "world-class", "state of the art", "unbeaten")

# The outermost loops: the only places that may catch every Exception and go on, and why.
OUTERMOST = {
    ("objstore/drive/lanes.py", "_handle_all"): "whoever waits for the group gets the error",
    ("objstore/gateway/app.py", "_answer"): "whatever a request raised becomes an S3 error",
    ("objstore/rpc/server.py", "_answer"): "a bug in a handler is logged and answered",
    ("objstore/testing/sim_loop.py", "run_in_executor"): "whoever waits for the thread gets it",
}

Rule = Callable[[Path, str, ast.Module], Iterator[str]]


def long_module(path: Path, text: str, _tree: ast.Module) -> Iterator[str]:
    if (lines := text.count("\n")) > MODULE_LINES_MAX:
        yield f"{path}: {lines} lines, at most {MODULE_LINES_MAX}"


def long_function(path: Path, _text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} is {lines} lines"


def junk_drawer(path: Path, _text: str, _tree: ast.Module) -> Iterator[str]:
    if path.stem in JUNK_DRAWERS or path.parent.name in JUNK_DRAWERS:
        yield f"{path}: name it for what it does"


def leftover(path: Path, text: str, _tree: ast.Module) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{path}:{number}: leftover marker"


def superlative(path: Path, text: str, _tree: ast.Module) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if any(word in line.lower() for word in SUPERLATIVES):
            yield f"{path}:{number}: say what was measured"


def undocumented_module(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    if text and ast.get_docstring(tree) is None:
        yield f"{path}: no docstring says the one thing it is for"


def module_state(path: Path, _text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"{path}:{node.lineno}: module-level state changes"


def base_class(path: Path, _text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and re.match(r"(Base|Abstract)[A-Z]", node.name):
            yield f"{path}:{node.lineno}: {node.name}: a protocol and composition"


def broad_except(path: Path, _text: str, tree: ast.Module) -> Iterator[str]:
    """A handler of every exception has to raise in the end, or be an outermost loop."""
    for function, handler in _handlers(tree):
        if (
            _is_broad(handler.type)
            and not isinstance(handler.body[-1], ast.Raise)
            and (path.as_posix(), function) not in OUTERMOST
        ):
            yield f"{path}:{handler.lineno}: {function} swallows every exception"


def _handlers(tree: ast.Module) -> Iterator[tuple[str, ast.ExceptHandler]]:
    def walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.ExceptHandler]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ExceptHandler):
                yield function, child
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from walk(child, child.name)
            else:
                yield from walk(child, function)

    return walk(tree, "<module>")


def _is_broad(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    broad = {"Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup"}
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in broad) for kind in kinds)


def missing_page(path: Path, text: str, _tree: ast.Module) -> Iterator[str]:
    """A page, test or module that the source points to has to be there."""
    for name in re.findall(r"\b(?:docs|tests|objstore)/[\w./-]+\.(?:md|py)\b", text):
        if not (ROOT / name).exists():
            yield f"{path}: {name} is not there"


RULES: list[tuple[Rule, str, str]] = [
    (long_module, "objstore/x.py", "\n" * (MODULE_LINES_MAX + 1)),
    (long_function, "objstore/x.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    (junk_drawer, "objstore/wire/utils.py", ""),
    (junk_drawer, "objstore/core/x.py", ""),
    (leftover, "objstore/x.py", "# TO" + "DO later\n"),
    (superlative, "objstore/x.py", '"""A ' + "blaz" + 'ing store."""\n'),
    (undocumented_module, "objstore/x.py", "x = 1\n"),
    (module_state, "objstore/x.py", "def f():\n    global x\n    x = 1\n"),
    (base_class, "objstore/x.py", "class BaseDrive: ...\n"),
    (broad_except, "objstore/x.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (broad_except, "objstore/x.py", "try:\n    f()\nexcept:\n    pass\n"),
    (broad_except, "objstore/x.py", "try:\n    f()\nexcept (OSError, BaseException):\n    pass\n"),
    (broad_except, "objstore/x.py", "try:\n    f()\nexcept* Exception:\n    pass\n"),
    (missing_page, "objstore/x.py", '"""See docs/format/never' + '.md."""\n'),
]


@cache
def read(path: Path) -> tuple[str, ast.Module]:
    """Return a source and its tree, which every rule looks at."""
    text = path.read_text("utf-8")
    return text, ast.parse(text)


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES))
def test_source_is_tidy(rule: Rule) -> None:
    complaints = [
        complaint for path in SOURCES for complaint in rule(path.relative_to(ROOT), *read(path))
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(("rule", "path", "text"), RULES)
def test_every_rule_can_complain(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Path(path), text, ast.parse(text)))


def test_raising_in_the_end_is_no_swallowing() -> None:
    text = "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"
    assert not list(broad_except(Path("objstore/x.py"), text, ast.parse(text)))


def test_every_outermost_loop_is_there() -> None:
    swallowing = {
        (path.relative_to(ROOT).as_posix(), function)
        for path in SOURCES
        for function, handler in _handlers(read(path)[1])
        if _is_broad(handler.type) and not isinstance(handler.body[-1], ast.Raise)
    }
    assert set(OUTERMOST) <= swallowing, set(OUTERMOST) - swallowing


# Started from outside: by Python, by the operator's shell, by the supervisor, or by the tests.
ENTRY_POINTS = {
    "objstore",
    "objstore.s3.limits_page",
    "objstore.s3.support_page",
    "objstore.__main__",
    "objstore.cli.app",
    "objstore.server.process",
}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(read(path)[1]):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_module_is_imported_by_another() -> None:
    """Tests alone do not keep a module alive, except those made for tests."""
    by_source = set().union(*map(_imports, SOURCES))
    by_test = set().union(*map(_imports, (ROOT / "tests").rglob("*.py")))
    dead = []
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        used = by_source | by_test if module.startswith("objstore.testing.") else by_source
        if path.stem != "__init__" and module not in used | ENTRY_POINTS:
            dead.append(module)
    assert not dead, dead


def test_every_unit_test_lies_where_its_module_lies() -> None:
    """tests/unit mirrors objstore/: a directory of tests has a package of the same name."""
    strange = [
        path.relative_to(ROOT)
        for path in sorted((ROOT / "tests" / "unit").rglob("test_*.py"))
        if not (ROOT / "objstore" / path.parent.relative_to(ROOT / "tests" / "unit")).is_dir()
    ]
    assert not strange, strange

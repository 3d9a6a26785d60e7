"""The tree is the architecture: imports run one way, and nobody else provides our names."""

import ast
import importlib.metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("scanpost", "inbound", "outbound", "viewer", "store", "templates")
# What each package may import of ours.
MAY_IMPORT = {
    "scanpost": set(PACKAGES),
    "inbound": {"inbound", "store", "templates"},
    "outbound": {"outbound", "store", "templates"},
    "viewer": {"viewer", "store", "templates"},
    "store": {"store"},
    "templates": {"templates"},
}
# Inside inbound: a folder may import itself and these.
INBOUND_MAY_IMPORT = {
    "flow": {"talk", "commands", "cases", "mail", "scans", "auth", "door"},
    "talk": {"commands", "cases", "mail", "scans", "auth"},
    "commands": {"cases", "mail", "scans", "auth"},
    "cases": {"mail", "scans", "auth"},
    "door": {"auth"},
    "mail": {"scans"},
    "scans": set(),
    "auth": set(),
}
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in found if "node_modules" not in path.parts)


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module))
    return found


def test_imports_run_one_way() -> None:
    wrong = []
    for path in modules():
        own = path.relative_to(ROOT).parts[0]
        for line, name in imports(path):
            top = name.partition(".")[0]
            if top in PACKAGES and top not in MAY_IMPORT[own]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} {own} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_imports_inside_inbound_run_one_way() -> None:
    wrong = []
    for path in (ROOT / "inbound").rglob("*.py"):
        own = path.relative_to(ROOT / "inbound").parts[0].removesuffix(".py")
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] != "inbound" or len(parts) < 2 or parts[1] == own:
                continue
            if parts[1] not in INBOUND_MAY_IMPORT[own]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} {own} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles_between_modules() -> None:
    graph = {}
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {
            module for _, module in imports(path) if module.partition(".")[0] in PACKAGES
        }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_nobody_else_provides_our_names() -> None:
    providers = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(providers.get(package, ["scanpost"])) == {"scanpost"}


def test_every_module_says_its_job() -> None:
    silent = [str(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_modules_and_functions_stay_short() -> None:
    long = []
    for path in modules():
        if "migrations" in path.parts:
            continue
        text = path.read_text()
        if text.count("\n") > LONGEST_MODULE:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} {length}")
    assert not long, "\n".join(long)


def test_names_of_drawers_are_not_used() -> None:
    drawers = {"utils", "helpers", "manager", "common", "misc"}
    assert not [path for path in modules() if path.stem in drawers]


def test_only_the_clock_asks_the_time() -> None:
    askers = {"store/clock.py", "store/engine.py"}  # the engine compares with DBOS's own times
    wrong = []
    for path in modules():
        name = str(path.relative_to(ROOT))
        text = path.read_text()
        asks = "time.time(" in text or "time.time_ns(" in text or "datetime.now(" in text
        if asks and name not in askers:
            wrong.append(name)
    assert not wrong

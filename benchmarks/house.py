"""`make house`: figures of the code, each beside the limit that it should keep.

Lines are non-blank lines of Python. A module's fan-out is the number of modules of its own package that it imports.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "mock_shop")
MAIN_PATH = ("contract.py", "lake", "engine", "sources/dump", "stages", "tasks")
MANY_PARAMETERS = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(package: str) -> dict[Path, ast.Module]:
    """Each module of a package by its path."""
    return {path: ast.parse(path.read_text()) for path in sorted((ROOT / package).rglob("*.py"))}


def lines(paths: Iterator[Path]) -> int:
    """The non-blank lines of the files."""
    return sum(bool(line.strip()) for path in paths for line in path.read_text().splitlines())


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    """The number of lines of a function, without its decorators."""
    return (function.end_lineno or 0) - function.lineno + 1


def parameters(function: Function) -> int:
    """The number of parameters of a function, without self and cls."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def fan_out(path: Path, tree: ast.Module) -> int:
    """How many modules of the package a module imports."""
    package = path.relative_to(ROOT).parts[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if _is_module(name) else str(node.module) for name in names)
    return len(found)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def figures() -> list[tuple[str, float, float]]:
    """Name, figure and limit of each count."""
    trees = {path: tree for package in PACKAGES for path, tree in modules(package).items()}
    own = {path: tree for path, tree in trees.items() if path.is_relative_to(ROOT / "pipeline")}
    found = [function for tree in trees.values() for function in functions(tree)]
    lengths, outs = [length(function) for function in found], [fan_out(path, tree) for path, tree in own.items()]
    main = (path for path in own if path.relative_to(ROOT / "pipeline").as_posix().startswith(MAIN_PATH))
    loose = [path for path in own if path.parent == ROOT / "pipeline" and not path.name.startswith("__")]
    many = sum(parameters(function) >= MANY_PARAMETERS for function in found)
    return [
        ("lines of the product and mock_shop", lines(iter(trees)), 7_800),
        ("lines of the main path", lines(main), 3_400),
        ("loose modules", len(loose), 12),
        ("longest file, all lines", max(len(path.read_text().splitlines()) for path in trees), 300),
        ("fan-out, p90", quantiles(outs, n=10)[-1], 9),
        ("fan-out, largest", max(outs), 14),
        ("function, median lines", median(lengths), 7),
        ("function, longest", max(lengths), 40),
        (f"functions of {MANY_PARAMETERS} parameters or more, %", round(100 * many / len(found), 1), 3),
    ]


def main() -> None:
    for what, figure, limit in figures():
        print(f"{what:<42}{figure:>8,g}   at most {limit:,g}{'' if figure <= limit else '   exceeded'}")


if __name__ == "__main__":
    main()

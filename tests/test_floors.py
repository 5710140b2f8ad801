"""Imports go strictly down the floors, every file stands on one, and the loop names no recipe.

A new file stands one floor above the highest that it imports, or higher: put its name into that line.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "limbeck"
FLOORS = """
0  errors tasks charts batch measures data.__init__ statistics ecg topology.kernels topology.lanes
1 config process sizes observers signals finished values truth_charts data.archive data.pickles topology.stamps
1 studies
2  schedule metrics scaling losses objective checkpoint data.source augment compare cite data.matlab mixup
3  plan terms journal verdict data.split data.cache timeline teachers models.heads topology.diagrams topology.store
4 distiller evaluate data.recordings classical spectral models.sensor models.heart figures topology.images mixings
4 models.wide
5 run truth models.hybrid data.clock data.layout data.lines data.synthetic data.watch data.inspect data.ppg
5 topology.transformer
5  data.geneactiv_bin data.usc_had steering topology.column
6 fit notes models.__init__ data.pulse data.columns data.discover data.har data.spc data.wildppg data.dalia
6 data.galaxy topology.__init__
6  data.geneactiv_labels data.pamap2 topology.plots
7  recipe deployed report doctor data.parts data.geneactiv
8  data.folder data.own_pulse topology.shards
9  recipes.smooth_distill recipes.ppg_heart_rate edge predict gauge recipes.mixup_topology
10 recipes.__init__
11 __init__ demo fields grid scoring
12 board workers topology_verbs
13 results
14 tables laws deployments
15 law_plot transfer cost people
16 law_tables
17 study
18 cli
19 __main__
"""
FLOOR = {name: int(number) for number, *names in map(str.split, FLOORS.strip().splitlines()) for name in names}
FILES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """The files of the package that a file imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {_file(alias.name) for alias in node.names if alias.name.split(".")[0] == "limbeck"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by a relative name"
            base = node.module or ""
            if base.split(".")[0] == "limbeck":
                found |= {_file(f"{base}.{alias.name}") or _file(base) for alias in node.names}
    return found - {""}


def _file(name: str) -> str:
    """The key in FILES of a dotted name; empty where it is not a file."""
    inner = name.removeprefix("limbeck").removeprefix(".")
    candidates = (inner, f"{inner}.__init__" if inner else "__init__")
    return next((c for c in candidates if c in FILES), "")


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_lower_floors(name: str) -> None:
    assert name in FLOOR, f"limbeck/{name.replace('.', '/')}.py stands on no floor: put it into tests/test_floors.py"
    for other in sorted(imports(FILES[name])):
        assert other in FLOOR, f"{other}, which {name} imports, stands on no floor: put it into tests/test_floors.py"
        assert FLOOR[other] < FLOOR[name], (
            f"{name} (floor {FLOOR[name]}) imports {other} (floor {FLOOR[other]}): imports go strictly down"
        )


def test_every_name_on_a_floor_is_a_file() -> None:
    assert sorted(set(FLOOR) - set(FILES)) == [], "take these out of tests/test_floors.py"


def test_names_are_seen_in_every_form_of_import(tmp_path: Path) -> None:
    code = """
import limbeck.fit
from limbeck import losses, process as p
from limbeck.data import cache
def late():
    from limbeck.data.source import Table
    from limbeck.models import MTLNet
"""
    (tmp_path / "x.py").write_text(code)
    assert imports(tmp_path / "x.py") == {"fit", "losses", "process", "data.cache", "data.source", "models.__init__"}


def test_the_loop_names_no_recipe_and_stays_short() -> None:
    text = FILES["fit"].read_text()
    recipes = [p.stem for p in (PACKAGE / "recipes").glob("*.py") if p.stem != "__init__"]
    assert recipes
    for recipe in recipes:
        for word in (recipe, recipe.replace("_", "-"), recipe.title().replace("_", "")):
            assert word not in text, f"fit.py names the recipe {word}"
    assert len(text.splitlines()) < 250


def test_no_recipe_imports_another() -> None:
    for path in (PACKAGE / "recipes").glob("*.py"):
        if path.stem != "__init__":
            assert not [n for n in imports(path) if n.startswith("recipes.")], f"{path.name} imports a recipe"

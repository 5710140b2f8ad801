"""Imports go strictly down the floors, every file stands on one, and the loop names no recipe.

A new file stands one floor above the highest that it imports, or higher: put its name into that line.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "limbeck"
FLOORS = """
0  batch charts data.__init__ data.decoding data.packed data.resizing data.solids ecg errors measures resident stop
0  studies tasks topology.kernels topology.lanes words
1  bars cite config data.archive data.generated data.maps data.pickles models.resnet models.sets observers paint
1  process rate_charts scored signals statistics topology.stamps truth_charts values
2  augment checkpoint data.matlab data.order data.source data.worlds finished footprint losses metrics mixup
2  models.adapt objective schedule sizes teachers trajectory_charts
3  compare data.cache data.cells data.concat data.labels data.nyu_classes data.split distiller feedback gain
3  journal labelled mixings models.heads pictures pixels plan renamed scaling terms timeline topology.diagrams
3  topology.store transforms
4  ablation balance classical connector data.base doctor domains folds groups learner likeness made map_files
4  models.dense models.heart models.image models.sensor models.wide pictures_report pseudo rows run spectral
4  steering topology.images trajectory verdict
5  assessment data.recordings figures models.hybrid rates topology.column topology.plots topology.transformer
5  visits
6  data.clock data.describe data.faces data.geneactiv_bin data.joined data.layout data.lines data.lists data.photos
6  data.ppg data.synthetic data.usc_had data.watch evaluate labels_report models.__init__ rate_figures
6  topology.__init__ topology.shards trajectory_report truth
7  data.columns data.copies data.dalia data.discover data.galaxy data.geneactiv_labels data.har data.inspect
7  data.pamap2 data.pixel_data data.pulse data.spc data.wildppg deployed fit notes predict_images rounds
8  data.geneactiv data.images data.mtan data.parts data.scenes edge gauge predict_pixels recipe report
9  data.adience data.cityscapes data.fairface data.fer2013 data.folder data.morph data.nyuv2 data.own_pulse
9  data.utkface
10 data.own_images data.sensor_sets predict recipes.joint_distill recipes.mixup_topology recipes.ppg_heart_rate
10 recipes.smooth_distill
11 data.image_sets
12 recipes.distill_2md_mtl
13 recipes.__init__
14 __init__ demo fields grid scoring
15 board labelling topology_verbs workers
16 results
17 deployments laws tables
18 cost gains labels law_plot people transfer
19 law_tables
20 study
21 cli
22 __main__
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

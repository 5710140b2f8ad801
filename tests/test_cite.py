"""Citations are valid BibTeX of the papers that a run stands on."""

import re

import pytest

from limbeck.cite import PAPERS, USES, bibtex, citation, keys_of
from limbeck.errors import UserError


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("smooth-distill", "2507.00061"),
        ("mixup-topology", "2502.00779"),
        ("ppg-heart-rate", "2511.18829"),
        ("joint-distill", "2505.10057"),
        ("distill-2md-mtl", "1907.03402"),
        ("soft", "1503.02531"),
        ("decoupled", "2203.08679"),
        ("ema", "1703.01780"),
        ("trees", "10.1007/s10994-006-6226-1"),
    ],
)
def test_the_first_paper_of_a_kind_is_its_own(kind: str, number: str) -> None:
    assert number in citation(kind).split("\n@")[0]


def test_entries_are_balanced_and_have_author_title_and_year() -> None:
    for key in PAPERS:
        entry = bibtex([key])
        assert entry.count("{") == entry.count("}")
        assert re.match(rf"@[a-z]+{{{key},\n", entry)
        for field in ("author", "title", "year"):
            assert re.search(rf"^  {field} = {{.+}},?$", entry, re.MULTILINE)


def test_every_use_names_a_paper_that_is_there() -> None:
    assert {key for keys in USES.values() for key in keys} == set(PAPERS)


def test_a_run_cites_its_recipe_its_kind_of_distillation_and_its_models_once_each() -> None:
    recipe = {"kind": "smooth-distill", "how": {"kind": "decoupled"}}
    keys = keys_of(recipe, ["student", "ema", "trees"])
    assert keys == [*USES["smooth-distill"], "zhao2022decoupled", "geurts2006extremely"]


def test_a_run_cites_how_it_mixes() -> None:
    recipe = {"kind": "mixup-topology", "mix": {"kind": "cutmix"}}
    assert keys_of(recipe) == [*USES["mixup-topology"], "yun2019cutmix"]


def test_a_recipe_without_a_paper_cites_none() -> None:
    assert bibtex(keys_of({"kind": "mine"}, ["student"])) == ""


def test_an_unknown_kind_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(UserError, match="smooth-distill"):
        citation("smoothdistill")

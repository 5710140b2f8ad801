"""What README and the guides point to and show is there and runs."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS, ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_python_block_is_python_and_imports_what_exists(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(block, page.name, "exec")
        for names in re.findall(r"^from limbeck import (.+)$", block, re.MULTILINE):
            assert all(hasattr(limbeck, name.strip()) for name in names.split(","))


def test_the_loss_of_the_guide_can_be_trained() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    made: dict[str, object] = {}
    exec(blocks[0], made)
    assert str(made["objective"]) == "confident(activity)"


@pytest.mark.parametrize(
    "name", ["smooth-distill-recommended", "smooth-distill-decay", "ppg-strategies", "ppg-scaling-spc"]
)
def test_the_studies_of_the_paper_page_can_be_read(name: str, tmp_path: Path) -> None:
    from limbeck.study import find

    assert len(find(str(ROOT / "docs" / "papers" / f"{name}.json"), {"data.root": str(tmp_path)}).cells()) >= 9


def test_the_lines_about_persistence_images_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "topology.md").read_text(), re.DOTALL)
    made: dict[str, Any] = {}
    for block in blocks:
        exec(block, made)
    assert made["images"].shape == (100, 3, 64, 64)
    assert (tmp_path / "persistence.png").read_bytes().startswith(b"\x89PNG")
    still = made["windows"][:20] * 0.1
    made["model"].fit([*made["windows"][:20], *still], [1] * 20 + [0] * 20)
    assert made["model"].predict([made["windows"][30]]).tolist() == [1]


def test_the_example_of_persistence_images_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "own.npy", np.random.default_rng(0).normal(size=(5, 2, 30)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["persistence_images.py", "own.npy"])
    runpy.run_path(str(ROOT / "examples" / "persistence_images.py"))
    assert (tmp_path / "persistence.png").is_file()


def test_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text

"""What `import limbeck` offers."""

import ast
from pathlib import Path

import limbeck


def test_every_exported_name_is_there_and_documented() -> None:
    for name in limbeck.__all__:
        assert getattr(limbeck, name).__doc__, name


def test_the_names_for_type_checkers_are_those_for_users() -> None:
    tree = ast.parse(Path(limbeck.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == limbeck.__all__


def test_no_exported_name_is_that_of_a_module() -> None:
    """A module that is imported would take the place of the name."""
    modules = {path.stem for path in Path(limbeck.__file__).parent.iterdir()}
    assert not modules & set(limbeck.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(limbeck, "Nothing")

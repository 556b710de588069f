"""The embedded data set exists on every Python, and is the same each time."""

import ast
import shutil
import sysconfig
from pathlib import Path

import pytest

from cryoflux.data import stdlib_docs
from cryoflux.data.prepared import open_prepared, render, store
from cryoflux.data.split import split
from cryoflux.errors import StateTamperedError


def test_it_is_real_text_of_many_areas_and_survives_the_way_to_the_disk(tmp_path) -> None:
    examples = stdlib_docs.build()
    labels = {e.label for e in examples}
    assert len(examples) > 4000
    assert {"gui", "internet", "concurrency", "testing"} <= labels
    assert all(len(e.text.split()) >= 4 for e in examples)

    files, digest = render(split(examples, None, None, holdout_size=100))
    prepared = open_prepared(store(files, digest, tmp_path), stdlib_docs.NAME)
    assert prepared.digest == digest
    assert set(prepared.labels) == labels
    assert sum(prepared.count(name) for name in prepared.sets) == len(examples)

    holdout = prepared.folder / "holdout.jsonl"
    holdout.write_bytes(holdout.read_bytes().replace(b"gui", b"gut", 1))
    with pytest.raises(StateTamperedError, match=r"holdout\.jsonl"):
        open_prepared(prepared.folder, stdlib_docs.NAME)


def test_the_order_of_the_files_on_the_disk_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, built = Path(sysconfig.get_path("stdlib")), []
    for name, step in (("forwards", 1), ("backwards", -1)):
        for module in ("asyncio", "tkinter", "unittest")[::step]:
            for path in sorted((library / module).glob("*.py"))[::step]:
                (tmp_path / name / module).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / name / module)
        monkeypatch.setattr(sysconfig, "get_path", lambda _, name=name: str(tmp_path / name))
        built.append(stdlib_docs.build())
    assert built[0] == built[1]
    assert len({example.label for example in built[0]}) > 1


SOURCE = '''
"""Outside of everything there is, a text."""
if True:
    def first():
        """In the first branch of a condition."""
        class Inner:
            """Within a function that is itself within."""
else:
    async def second():
        """In the other branch of that condition."""
try:
    def third():
        """Tried before anything else can happen."""
except ValueError:
    def fourth():
        """When that has come to nothing at all."""
else:
    def fifth():
        """When that came to something after all."""
finally:
    def sixth():
        """Whatever may have happened in the meantime."""
match x:
    case 1:
        def seventh():
            """In a case that is quite special."""
with x, y:
    for z in range(3):
        while z:
            class Deep:
                """As deep as the statements go down."""
                def method(self):
                    """And one step deeper than even that."""
def shaped():
    """A docstring
      \tof several lines,

        which are indented, with white space.

    """
value = [lambda: 1, {"not": "a docstring but a mere value"}]
'''


def test_docstrings_come_in_the_order_of_a_walk_through_the_whole_tree(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, kinds)]
    expected = [" ".join((text or "").split()) for text in found]
    assert list(stdlib_docs._docstrings(path)) == expected
    assert len(expected) == 12

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from enum import unique

import pytest

import cryoflux
from cryoflux import errors
from cryoflux.cli import main as command
from cryoflux.errors import CryoFluxError, ExitCode

BRANCH = re.compile(
    r"^ {4}(?P<indent>[│├└─ ]*)(?P<name>\w+Error)(?: \((?P<also>\w+)\))? +(?P<exit>[0-9])? *(?P<what>.*)$"
)


def subclasses(of: type[CryoFluxError]) -> Iterator[type[CryoFluxError]]:
    for subclass in of.__subclasses__():
        if subclass.__module__.split(".")[0] == "cryoflux":
            yield subclass
            yield from subclasses(subclass)


def all_errors() -> dict[str, type[CryoFluxError]]:
    """Every error of the project, once every module of it is imported."""
    for module in pkgutil.walk_packages(cryoflux.__path__, "cryoflux."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {found.__name__: found for found in subclasses(CryoFluxError)}


def drawn() -> dict[str, dict[str, str]]:
    """The tree in the docstring: name → its parent, its other base, its exit code and its meaning."""
    tree: dict[str, dict[str, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := BRANCH.match(line):
            path = [*path[: len(match["indent"]) // 4], match["name"]]
            assert match["name"] not in tree, f"{match['name']} is drawn twice"
            tree[match["name"]] = {
                "parent": path[-2] if len(path) > 1 else "",
                "also": match["also"] or "",
                "exit": match["exit"] or "",
                "what": match["what"],
            }
    return tree


ERRORS = all_errors()
TREE = drawn()


def test_the_tree_shows_every_error_of_the_project_and_no_other() -> None:
    assert set(TREE) == {"CryoFluxError", *ERRORS}
    assert len(ERRORS) <= 22, "an error is a thing that a caller does something else about"


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_is_what_the_tree_shows(name: str) -> None:
    found, shown = ERRORS[name], TREE[name]
    ours, *others = found.__bases__
    assert shown["parent"] == ours.__name__
    assert shown["also"] == "".join(other.__name__ for other in others)
    assert shown["exit"] == str(int(found.exit_code))
    assert shown["what"]
    assert found.__doc__


def test_errors_of_the_frame_are_exported_and_others_live_with_their_stage() -> None:
    here = {name for name, found in ERRORS.items() if found.__module__ == "cryoflux.errors"}
    assert set(errors.__all__) == {*here, "CryoFluxError", "ExitCode"}
    for name in set(ERRORS) - here:
        assert name in importlib.import_module(ERRORS[name].__module__).__all__


def test_every_exit_code_means_one_thing() -> None:
    assert unique(ExitCode) is ExitCode
    assert {int(code) for code in ExitCode} == {0, 1, 2, 3, 4, 5, 130, 141}
    assert {found.exit_code for found in ERRORS.values()} == set(ExitCode) - {
        ExitCode.DONE,
        ExitCode.INTERRUPTED,
        ExitCode.OUTPUT_CLOSED,
    }


def test_help_lists_the_exit_codes() -> None:
    listed = re.findall(r"(?:: |· )([0-9]+) ", command.app.info.epilog)
    assert listed == [str(int(code)) for code in ExitCode]


def test_an_error_says_what_why_and_what_next() -> None:
    error = CryoFluxError("The disk is full.", why="Nothing is recorded.", hint="Free some space.")
    assert error.lines() == ("The disk is full.", "Nothing is recorded.", "Free some space.")
    assert str(error) == "The disk is full."
    assert CryoFluxError("What.", hint="Next.").lines() == ("What.", "Next.")
    assert CryoFluxError("What.").lines() == ("What.",)


def test_library_code_can_catch_the_usual_exceptions() -> None:
    for found in ERRORS.values():
        error = found("What.", why="Why.", hint="Next.")
        assert (error.what, error.why, error.hint, str(error)) == ("What.", "Why.", "Next.", "What.")
        assert isinstance(error, ValueError) == (
            found.exit_code == 2 and not issubclass(found, errors.StateError)
        )
        assert isinstance(error, OSError) == issubclass(found, errors.StorageError)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_ends_a_command_with_its_code_and_no_traceback(
    name: str, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ERRORS[name]("What [b]happened[/b].", why="Why.", hint="Type: --state DIR")

    monkeypatch.setattr(command, "parser", lambda: fail)
    monkeypatch.setattr("sys.argv", ["cryoflux", "verify", *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as ended:
        command.main()
    shown = capsys.readouterr()
    assert ended.value.code == int(ERRORS[name].exit_code)
    assert shown.err == "error: What [b]happened[/b].\n  why: Why.\n next: Type: --state DIR\n"
    if as_json:
        assert json.loads(shown.out) == {
            "schema": "cryoflux.error/1",
            "event": "error",
            "error": name,
            "what": "What [b]happened[/b].",
            "why": "Why.",
            "hint": "Type: --state DIR",
            "exit_code": int(ERRORS[name].exit_code),
        }
    else:
        assert shown.out == ""


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_an_interrupt_and_a_closed_pipe_have_their_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(command, "parser", lambda: fail)
    monkeypatch.setattr(command, "close_stdout", lambda: None)  # the test runner's own output stays open
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert "Traceback" not in capsys.readouterr().err

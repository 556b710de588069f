"""The main job on the embedded model and data, as `make run` starts it, with a smaller budget."""

from pathlib import Path

from running import cryoflux


def test_the_embedded_defaults_learn_and_verify(tmp_path: Path) -> None:
    outcome = cryoflux("run", "--budget", "240J", "--attempts", "1", "--json", cwd=tmp_path)
    assert outcome.summary["attempts"] == 1
    (attempt,) = outcome.of("attempt")
    assert attempt["joules_spent"] <= 120 * 1.05
    opened = outcome.of("opened")[0]
    assert opened["model"] == "all-MiniLM-L6-v2"
    assert opened["data"] == "stdlib-docs"
    assert outcome.summary["state"] == "state"
    verified = cryoflux("verify", "--recompute", "1", cwd=tmp_path)
    assert verified.code == 0, verified.stdout
    assert "equal" in verified.stdout or attempt["decision"] == "aborted"

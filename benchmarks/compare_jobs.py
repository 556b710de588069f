"""One small training, followed by one tool in an environment of its own; prints JSON of what that tool says.

    python benchmarks/compare_jobs.py TOOL

Used by `compare_tools.py`. A linear classifier learns 300 digits for 20 epochs; loss and accuracy are logged
after each. Each tool is used as the first page of its documentation does, offline where it can be told to.
Nothing of CryoFlux is imported, unless it is the tool.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

EPOCHS, PASSES, EXAMPLES = 20, 25, 300
_KWH_J = 3.6e6

Log = Callable[[dict[str, float], int], None]
Said = dict[str, Any]
"""what a tool says of the job at its end"""


def train(log: Log) -> Path:
    """Learn the digits, log each epoch, and leave the model as a file."""
    numpy: Any = importlib.import_module("numpy")
    linear: Any = importlib.import_module("sklearn.linear_model")
    digits = importlib.import_module("sklearn.datasets").load_digits()
    metrics: Any = importlib.import_module("sklearn.metrics")
    texts, labels = digits.data / 16, digits.target
    model = linear.SGDClassifier(loss="log_loss", random_state=0)
    for epoch in range(EPOCHS):
        for _ in range(PASSES):
            model.partial_fit(texts[:EXAMPLES], labels[:EXAMPLES], classes=range(10))
        scores = model.predict_proba(texts[EXAMPLES:])
        loss = float(metrics.log_loss(labels[EXAMPLES:], scores))
        log({"loss": loss, "accuracy": float(model.score(texts[EXAMPLES:], labels[EXAMPLES:]))}, epoch)
    folder = Path("model")
    folder.mkdir(exist_ok=True)
    numpy.savez(folder / "weights.npz", coef=model.coef_, intercept=model.intercept_)
    return folder


def nothing(said: Said) -> None:
    """The job alone."""
    train(lambda _values, _step: None)
    said["file"] = hashlib.sha256(Path("model/weights.npz").read_bytes()).hexdigest()


def mlflow(said: Said) -> None:
    """A run with its metrics and its model folder, in the store that it takes by itself."""
    flow: Any = importlib.import_module("mlflow")
    flow.set_experiment("digits")
    with flow.start_run() as run:
        folder = train(lambda values, step: flow.log_metrics(values, step=step))
        flow.log_artifacts(str(folder), "model")
    said["metrics"] = flow.get_run(run.info.run_id).data.metrics
    said["store"] = flow.get_tracking_uri()


def wandb(said: Said) -> None:
    """A run in offline mode."""
    run: Any = importlib.import_module("wandb").init(project="digits", mode="offline")
    train(lambda values, step: run.log(values, step=step))
    said["summary"] = {key: value for key, value in dict(run.summary).items() if key[0] != "_"}
    said["folder"] = os.path.relpath(run.dir)
    run.finish()


def trackio(said: Said) -> None:
    """A run in its local database."""
    track: Any = importlib.import_module("trackio")
    track.init(project="digits")
    train(lambda values, step: track.log(values, step=step))
    track.finish()
    runs = track.Api().runs("digits")
    said["runs"] = [run.name for run in runs]


def codecarbon(said: Said) -> None:
    """Its tracker around the job, told the country, so that it need not ask where it is."""
    tracker = importlib.import_module("codecarbon").OfflineEmissionsTracker(
        country_iso_code="SWE", log_level="error"
    )
    tracker.start()
    train(lambda _values, _step: None)
    tracker.stop()
    data = tracker.final_emissions_data
    said["joules"] = data.energy_consumed * _KWH_J
    said["cpu_joules"] = data.cpu_energy * _KWH_J
    said["ram_joules"] = data.ram_energy * _KWH_J
    said["cpu_watts"] = data.cpu_power
    said["tracking"] = str(tracker._conf.get("cpu_model", ""))  # noqa: SLF001 - what it took the processor for
    said["fields"] = sorted(data.values)


def zeus(said: Said) -> None:
    """A window of its monitor."""
    monitor = importlib.import_module("zeus.monitor").ZeusMonitor()
    monitor.begin_window("job", sync_execution=False)
    train(lambda _values, _step: None)
    found = monitor.end_window("job", sync_execution=False)
    said["seconds"] = found.time
    said["cpu_joules"], said["gpu_joules"] = found.cpu_energy, found.gpu_energy
    said["fields"] = sorted(vars(found))


def signing(said: Said) -> None:
    """The model folder signed with a key of one's own, checked, and checked again after one byte changed."""
    folder = train(lambda _values, _step: None)
    ec: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
    forms: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
    key = ec.generate_private_key(ec.SECP256R1())
    private, public, signed = Path("key.pem"), Path("key.pub"), Path("model.sig")
    private.write_bytes(
        key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    )
    signs: Any = importlib.import_module("model_signing.signing")
    checks: Any = importlib.import_module("model_signing.verifying")
    began = time.perf_counter()
    signs.Config().use_elliptic_key_signer(private_key=private).sign(folder, signed)
    checks.Config().use_elliptic_key_verifier(public_key=public).verify(folder, signed)
    said["sign_and_verify_seconds"] = time.perf_counter() - began
    said["signature_bytes"] = signed.stat().st_size
    weights = folder / "weights.npz"
    whole = weights.read_bytes()
    weights.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    try:
        checks.Config().use_elliptic_key_verifier(public_key=public).verify(folder, signed)
    except ValueError as error:
        said["changed_byte"] = str(error)
    weights.write_bytes(whole)


def cryoflux(said: Said) -> None:
    """Its meter around the job."""
    measure: AbstractContextManager[Any] = importlib.import_module("cryoflux").measure_energy()
    with measure as measurement:
        train(lambda _values, _step: None)
    said["says"] = str(measurement.result)
    said["joules"] = measurement.result.to_dict()


TOOLS: dict[str, Callable[[Said], None]] = {
    "nothing": nothing,
    "mlflow": mlflow,
    "wandb": wandb,
    "trackio": trackio,
    "codecarbon": codecarbon,
    "zeus": zeus,
    "signing": signing,
    "cryoflux": cryoflux,
}


@contextmanager
def _answers() -> Iterator[Any]:
    """Where the answer goes: what tools print is none."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as kept:
        os.dup2(2, 1)
        yield kept


def main() -> None:
    """Do the job beside one tool."""
    said: Said = {}
    with _answers() as answers:
        try:
            TOOLS[sys.argv[1]](said)
        except Exception as error:  # noqa: BLE001 - that a tool ends the job is an answer, too
            said["ended_by"] = f"{type(error).__name__}: {error}"
        json.dump(said, answers, default=str)


if __name__ == "__main__":
    main()

"""``cryoflux models push`` against a stand-in of the Hub's upload API, by the Hub's own library."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from chains import TOO_LITTLE, go_on
from cryoflux.errors import ExitCode, UsageError
from cryoflux.integrations.hub import HubFile, _refuse_private
from cryoflux.receipts.proof import check_proof, parse_proof
from cryoflux.receipts.statement import Outcome
from running import exit_code_of
from synthetic_state import open_state

pytestmark = [pytest.mark.slow, pytest.mark.process]


class Hub:
    """Takes what the library uploads: small files in the commit, weights over LFS; keeps all of it."""

    def __init__(self, status=200):
        self.status = status
        self.kept, self.stored, self.asked, self.created = {}, {}, [], {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                path, length = self.path.partition("?")[0], int(self.headers.get("Content-Length", 0))
                self.answer(*hub.posted(path, self.rfile.read(length)))

            def do_PUT(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                hub.stored[self.path.rpartition("/")[2]] = content
                self.answer(200, {})

            def answer(self, code, found):
                body = json.dumps(found).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def posted(self, path, body):
        self.asked.append(path)
        if self.status != 200:
            return self.status, {"error": "no"}
        answers = {
            "create": self.create,
            "validate-yaml": lambda _: {"errors": [], "warnings": []},
            "main": self.commit if "/commit/" in path else self.modes,
            "batch": self.places,
        }
        return 200, answers[path.rpartition("/")[2]](body)

    def create(self, body):
        self.created = json.loads(body)
        return {"url": f"{self.address}/me/mine"}

    def modes(self, body):
        names = [one["path"] for one in json.loads(body)["files"]]
        return {"files": [{"path": n, "uploadMode": mode(n), "shouldIgnore": False} for n in names]}

    def places(self, body):
        told = json.loads(body)["objects"]
        uploads = [{"upload": {"href": f"{self.address}/lfs/{one['oid']}"}} for one in told]
        objects = [{**one, "actions": upload} for one, upload in zip(told, uploads, strict=True)]
        return {"transfer": "basic", "objects": objects}

    def commit(self, body):
        for line in body.splitlines():
            self.take(json.loads(line))
        return {"commitUrl": f"{self.address}/me/mine/commit/abc", "commitOid": "abc"}

    def take(self, line):
        value = line["value"]
        if line["key"] == "file":
            self.kept[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            self.kept[value["path"]] = self.stored[value["oid"]]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def mode(path):
    return "lfs" if path.endswith(".safetensors") else "regular"


@pytest.fixture
def state(tmp_path):
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    return made.finish()


def push(folder, hub, *words):
    environment = os.environ | {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(folder / "hf"),
        "HF_TOKEN": "hf_nobody",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [
        sys.executable,
        "-m",
        "cryoflux",
        "models",
        "push",
        "head",
        "me/mine",
        "--state",
        "state",
        *words,
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_a_yes_it_only_says_what_would_go(tmp_path, state):
    with Hub() as hub:
        done = push(tmp_path, hub)
    assert done.returncode == 0, done.stderr
    assert hub.asked == []
    assert "Nothing was uploaded." in done.stdout
    assert "README.md" in done.stdout


def test_a_version_its_adapter_card_and_receipts_arrive_whole(tmp_path, state):
    pytest.importorskip("huggingface_hub")
    with Hub() as hub:
        done = push(tmp_path, hub, "--yes", "--private", "--license", "apache-2.0", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["url"] == f"{hub.address}/me/mine/commit/abc"
    assert hub.created["visibility"] == "private"
    assert {one["name"]: one["bytes"] for one in told["listed"]} == {
        name: len(content) for name, content in hub.kept.items()
    }
    card = hub.kept["README.md"].decode()
    assert card.startswith("---\nlicense: apache-2.0")
    assert " J" in card
    model = state / "models" / told["digest"]
    for name in ("SHA256SUMS", *(path.name for path in model.glob("*.safetensors"))):
        assert hub.kept[name] == (model / name).read_bytes()
    adapter = hub.kept["adapters/1/adapter_model.safetensors"]
    assert (state / "capsules" / hashlib.sha256(adapter).hexdigest()).is_dir()
    assert hub.kept["cryoflux/receipt.pub"] == (state / "keys" / "receipt.pub").read_bytes()
    assert all(b"PRIVATE KEY" not in content for content in hub.kept.values())
    assert not [name for name in hub.kept if name.endswith((".pem", ".db")) or "train" in name]


def proven(files):
    """Receipts and announcements that a stranger finds proven in what was handed on, by their index."""
    log_key = load_pem_public_key(files["cryoflux/log.pub"])
    found = {}
    for name, content in files.items():
        if name.endswith(".tlog-proof"):
            key = load_pem_public_key(files[f"{name.rpartition('/')[0]}/receipt.pub"])
            entry = check_proof(parse_proof(content), key, log_key)
            found[entry.index] = entry
    return found


def written(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def history(tmp_path):
    """Two kept updates; a rejected one, one of a chain that paid, and a judged set are beside the line."""
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.0005)
    made.attempt(0.03)
    made.session()
    made.finish()
    return made


def test_only_what_the_version_is_made_of_goes_and_a_stranger_can_check_it(tmp_path, history, monkeypatch):
    words = ("models", "push", "head", "me/mine", "--into", str(tmp_path / "out"))
    assert exit_code_of(monkeypatch, *words, "--state", str(history.path)) == 0
    files = written(tmp_path / "out")
    entries = proven(files)
    kept = [e for e in history.entries if e.receipt is not None and e.receipt.outcome is Outcome.ACCEPTED]
    announced = {e.leaf_hash: e.index for e in history.entries if e.intent is not None}
    assert len(kept) == 2
    assert set(entries) == {e.index for e in kept} | {announced[e.receipt.intent] for e in kept}
    for entry, number in zip(kept, (1, 4), strict=True):
        for subject in entry.statement.subject:
            content = files[f"adapters/{number}/{subject.name}"]
            assert hashlib.sha256(content).hexdigest() == subject.digest.sha256
    assert hashlib.sha256(files["SHA256SUMS"]).hexdigest() == kept[-1].receipt.result.files
    card = files["README.md"].decode()
    assert str(history.path) not in card
    assert "4 entries that the version rests on" in card

    assert exit_code_of(monkeypatch, *words, "--state", str(history.path)) == 2, "the folder is not empty"


def test_the_whole_log_goes_where_it_is_asked_for(tmp_path, history, monkeypatch):
    words = ("models", "push", "head", "me/mine", "--whole-log", "--into", str(tmp_path / "out"))
    assert exit_code_of(monkeypatch, *words, "--state", str(history.path)) == 0
    lines = (tmp_path / "out/cryoflux/receipts.jsonl").read_bytes().splitlines()
    assert len(lines) == len(history.entries)
    from cryoflux import verify

    assert verify(tmp_path / "out/cryoflux/receipts.jsonl", key=history.path / "keys/receipt.pub").ok


def test_attempts_of_a_chain_go_with_the_update_that_they_paid_for(tmp_path, monkeypatch):
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    made.screen_out()
    carried = [go_on(made, shown=TOO_LITTLE), go_on(made, shown=TOO_LITTLE)]
    kept = go_on(made)
    rejected = made.screen_out()
    made.finish()
    words = ("models", "push", "head", "me/mine", "--into", str(tmp_path / "out"))
    assert exit_code_of(monkeypatch, *words, "--state", str(made.path)) == 0
    entries = proven(written(tmp_path / "out"))
    receipts = {index for index, entry in entries.items() if entry.receipt is not None}
    assert [one.receipt.outcome for one in carried] == [Outcome.CARRIED, Outcome.CARRIED]
    assert receipts == {1, *(one.index for one in carried), kept.index}
    assert len(entries) == 2 * len(receipts)
    assert rejected.index not in entries


@pytest.fixture
def signer(tmp_path):
    """A private key, and the public one that a stranger is told."""
    key = ec.generate_private_key(ec.SECP256R1())
    path, public = tmp_path / "signer.pem", tmp_path / "signer.pub"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path, public


def checked(folder, public):
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / "model.sig"), "--public_key", str(public)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_signature_holds_over_all_files_and_over_no_other(tmp_path, state, signer):
    pytest.importorskip("model_signing", reason="pip install 'cryoflux[sign]'")
    key, public = signer
    with Hub() as hub:
        done = push(tmp_path, hub, "--sign", str(key), "--into", "out")
        assert hub.asked == []
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out"
    assert checked(folder, public).returncode == 0
    (folder / ".gitattributes").write_text("as the Hub makes one")
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "README.md.lock").write_text("as a download leaves one")
    assert checked(folder, public).returncode == 0
    (folder / "README.md").write_text("another card")
    assert checked(folder, public).returncode == 1
    assert key.read_bytes() not in b"".join(written(folder).values())


@pytest.mark.parametrize("what", ["absent", "of another kind", "no key"])
def test_a_key_that_cannot_sign_is_said_before_anything_goes(tmp_path, state, what):
    pytest.importorskip("model_signing", reason="pip install 'cryoflux[sign]'")
    key = {
        "absent": "nothing.pem",
        "of another kind": "state/keys/receipt.pem",
        "no key": "state/origin.json",
    }
    with Hub() as hub:
        done = push(tmp_path, hub, "--yes", "--sign", key[what])
    assert (done.returncode, hub.asked) == (ExitCode.USAGE, [])
    assert "openssl ecparam -name prime256v1" in done.stderr


def test_without_its_library_nothing_is_signed_and_it_is_said(tmp_path, state, signer, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    words = ("models", "push", "head", "me/mine", "--sign", str(signer[0]), "--state", str(state))
    assert exit_code_of(monkeypatch, *words) == ExitCode.USAGE
    assert "pip install 'cryoflux[sign]'" in capsys.readouterr().err


def test_the_adapter_alone(tmp_path, state):
    with Hub() as hub:
        done = push(tmp_path, hub, "--adapter-only", "--json")
    assert done.returncode == 0, done.stderr
    names = {one["name"] for one in json.loads(done.stdout)["listed"]}
    assert "adapters/1/adapter_model.safetensors" in names
    assert not [name for name in names if name.endswith(".safetensors") and "/" not in name]


def test_a_hub_that_refuses_is_said(tmp_path, state):
    pytest.importorskip("huggingface_hub")
    with Hub(status=401) as hub:
        done = push(tmp_path, hub, "--yes")
    assert done.returncode == 5
    assert "The Hub did not take it" in done.stderr
    assert "hf auth login" in done.stderr
    assert "hf_nobody" not in done.stdout + done.stderr


@pytest.mark.parametrize("at", [0, 5, 2**20 - 7, 2**20])
def test_a_private_key_never_goes_wherever_it_stands(tmp_path, at):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"x" * at + b"-----BEGIN PRIVATE KEY-----")
    with pytest.raises(UsageError):
        _refuse_private(HubFile("tokenizer.json", path))


def test_a_file_that_no_checksum_names_does_not_go(tmp_path, state):
    (state / "base_model" / "notes.txt").write_text("mine")
    with Hub() as hub:
        done = push(tmp_path, hub, "--yes")
    assert done.returncode == 1
    assert "notes.txt is not the file that was kept" in " ".join(done.stderr.split())
    assert hub.asked == []

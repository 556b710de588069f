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

from cryoflux.errors import UsageError
from cryoflux.integrations.hub import HubFile, _refuse_private
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
    adapter = hub.kept["adapter/adapter_model.safetensors"]
    assert (state / "capsules" / hashlib.sha256(adapter).hexdigest()).is_dir()
    assert hub.kept["cryoflux/receipt.pub"] == (state / "keys" / "receipt.pub").read_bytes()
    assert all(b"PRIVATE KEY" not in content for content in hub.kept.values())
    assert not [name for name in hub.kept if name.endswith((".pem", ".db")) or "train" in name]

    checked = tmp_path / "receipts.jsonl"
    checked.write_bytes(hub.kept["cryoflux/receipts.jsonl"])
    from cryoflux import verify

    assert verify(checked, key=state / "keys/receipt.pub").ok


def test_the_adapter_alone(tmp_path, state):
    with Hub() as hub:
        done = push(tmp_path, hub, "--adapter-only", "--json")
    assert done.returncode == 0, done.stderr
    names = {one["name"] for one in json.loads(done.stdout)["listed"]}
    assert "adapter/adapter_model.safetensors" in names
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
    assert "notes.txt is not the file that its checksum names" in " ".join(done.stderr.split())
    assert hub.asked == []

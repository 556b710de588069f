"""Model folders of strangers: templates that never end, files that are links, settings nobody knows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cryoflux
from causal_families import make_family
from cryoflux.data.documents import read_documents
from cryoflux.errors import ModelError
from cryoflux.evaluation.losses import Losses
from cryoflux.registry.plain_model import harmless, settings_complaints
from cryoflux.tasks.causal import templates
from cryoflux.tasks.causal.network import open_tokenizer
from cryoflux.tasks.causal.talking import Conversation
from cryoflux.tasks.causal.tokens import rendered
from cryoflux.tasks.judged.causal import causal_losses
from cryoflux.tasks.judged.sides import model_side

TURNS = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "world"}]
ENDLESS = {
    "loops within loops": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    "one number": "{{ 9 ** (9 ** (9 ** 9)) }}",
    "one text": "{{ 'a' * 99999999999 }}",
    "a text that doubles": "{% set n = namespace(t='a') %}{% for a in range(60) %}{% set n.t = n.t + n.t %}"
    "{% endfor %}{{ n.t }}",
    "a width": "{{ 'a' | center(99999999999) }}",
    "calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("llama", tmp_path_factory.mktemp("m") / "base")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second of computing is enough for one conversation."""
    templates._WORKERS.close()
    monkeypatch.setattr(templates, "_MOST_SECONDS", 1)
    yield
    templates._WORKERS.close()


def copied(base: Path, folder: Path, **settings: Any) -> Path:
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def holdout(folder: Path, name: str = "h.jsonl", *, turns: bool = True) -> Path:
    path = folder / name
    rows: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": f"say {n}"}, TURNS[1]]} if turns else {"text": f"the {n}"}
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("template", ENDLESS.values(), ids=list(ENDLESS))
@pytest.mark.usefixtures("impatient")
def test_a_template_that_never_ends_or_fills_the_memory_is_refused(
    template: str, base: Path, tmp_path: Path
) -> None:
    evil = copied(base, tmp_path / "evil")
    (evil / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match=r"The template of .* does not render"):
        cryoflux.judge(base, evil, holdout(tmp_path), state=tmp_path / "s")
    with pytest.raises(ModelError, match=r"The template of .* does not render"):
        Conversation(evil, "evil").ask("hello", 2)
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("impatient")
def test_the_causal_task_refuses_it_too_and_what_is_asked_next_is_answered(
    base: Path, tmp_path: Path
) -> None:
    evil = copied(base, tmp_path / "evil")
    (evil / "chat_template.jinja").write_text(ENDLESS["one number"])
    document = read_documents(holdout(tmp_path))[0]
    with pytest.raises(ModelError, match="more than 1 s of computing"):
        rendered(open_tokenizer(evil, "evil"), document, "evil")
    assert rendered(open_tokenizer(base, "base"), document, "base").answer == "world</s>\n"


def test_a_template_renders_what_transformers_does(base: Path, tmp_path: Path) -> None:
    hard = copied(base, tmp_path / "hard")
    (hard / "chat_template.jinja").write_text(
        "{{ bos_token }}{%- for m in messages %}\n  {% if loop.first %}{{ m | tojson }}"
        "{% continue %}{% endif %}"
        "{{ m['content'] | trim }}é✓{% generation %}{{ eos_token }}{% endgeneration %}\n{% endfor %}"
        "{% if add_generation_prompt %}go{% endif %}"
    )
    for folder in (base, hard):
        tokenizer = open_tokenizer(folder, "m")
        for prompt in (True, False):
            ours = templates.render_turns(tokenizer, TURNS, prompt=prompt)
            assert ours == tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=prompt)


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "tokenizer.json", "config.json", "model.safetensors"]
)
def test_a_file_that_is_a_link_out_of_the_folder_is_not_read(name: str, base: Path, tmp_path: Path) -> None:
    evil, secret = copied(base, tmp_path / "evil"), tmp_path / "secret"
    shutil.copy(base / name, secret)
    (evil / name).unlink()
    (evil / name).symlink_to(secret)
    with pytest.raises(ModelError, match="is a link to a file outside"):
        cryoflux.judge(base, evil, holdout(tmp_path), state=tmp_path / "s")
    with pytest.raises(ModelError, match="is a link to a file outside"):
        open_tokenizer(evil, "evil")
    with pytest.raises(ModelError, match="is a link to a file outside"), harmless(evil):
        pass


def test_links_to_the_blobs_of_the_hubs_cache_and_within_the_folder_are_its_own(
    base: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "models--somebody--model"
    folder = Path(shutil.copytree(base, cache / "snapshots" / "abc"))
    (cache / "blobs").mkdir()
    (folder / "config.json").rename(cache / "blobs" / "123")
    (folder / "config.json").symlink_to("../../blobs/123")
    (folder / "tokenizer.json").rename(folder / "other.json")
    (folder / "tokenizer.json").symlink_to("other.json")
    with harmless(folder) as copy:
        assert (copy / "tokenizer.json").is_file()


def test_an_adapter_whose_files_are_links_is_not_read(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (adapter / "adapter_model.safetensors").symlink_to(tmp_path / "secret.safetensors")
    with pytest.raises(ModelError, match="is a link to a file outside"):
        cryoflux.judge(base, adapter, holdout(tmp_path), state=tmp_path / "s")


@pytest.mark.parametrize("setting", [{"alibi": True}, {"rope_interleaved": True}, {"pruned_layers": [1]}])
def test_a_model_with_a_setting_that_nobody_knows_is_not_judged_without_it(
    setting: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    odd = copied(base, tmp_path / "odd", **setting)
    with pytest.raises(ModelError, match=rf"says '{next(iter(setting))}', which is not known here"):
        cryoflux.judge(base, odd, holdout(tmp_path), state=tmp_path / "s")


def losses(folder: Path, path: Path) -> Losses:
    return causal_losses(model_side(str(folder)), read_documents(path), lambda *_: None).losses


def test_rotary_settings_as_transformers_4_wrote_them_are_read(base: Path, tmp_path: Path) -> None:
    """Half of the models on the hub say ``rope_theta`` beside, not in, ``rope_parameters``."""
    now = copied(base, tmp_path / "now", rope_parameters={"rope_type": "default", "rope_theta": 77.0})
    then = copied(base, tmp_path / "then", rope_theta=77.0)
    config = json.loads((then / "config.json").read_text())
    del config["rope_parameters"]
    (then / "config.json").write_text(json.dumps({**config, "rope_scaling": None}))
    path = holdout(tmp_path, turns=False)
    assert settings_complaints(then) == []
    assert losses(then, path) == losses(now, path) != losses(base, path)

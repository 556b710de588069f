"""The sections of the settings: what each setting may be, and what it is where nobody says it.

How they are read, and from where, is `cryoflux.config`.
"""

from __future__ import annotations

__all__ = [
    "AgentSettings",
    "AttemptSettings",
    "DataSettings",
    "DecisionSettings",
    "EnergySettings",
    "EnergyText",
    "FileText",
    "FleetSettings",
    "FolderText",
    "IndexSettings",
    "ModelSettings",
    "ModelsSettings",
    "MonitorSettings",
    "NetworkSettings",
    "RunSettings",
    "SettingsSection",
    "WitnessSettings",
]

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from cryoflux.quantities import parse_energy
from cryoflux.typed_text import is_unicode

_FEWEST_TOKENS = 4
_LEAST_GUARD = 0.5
"""below it, texts are near that have nothing in common but their language"""
_LEAST_INDEX_UJ = 20_000_000


def _energy(text: str) -> str:
    parse_energy(text)
    return text


def _index_energy(text: str) -> str:
    if parse_energy(text) < _LEAST_INDEX_UJ:
        raise ValueError("refreshing an index reserves at least 20 J")
    return text


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a folder has to be named")
    return text


def _file(text: str) -> str:
    if "\0" in text:
        raise ValueError("no file has such a name")
    return text


def _guard(cosine: float) -> float:
    if 0 < cosine < _LEAST_GUARD or cosine != round(cosine, 3):
        raise ValueError(f"a cosine from {_LEAST_GUARD} to 1, with three digits at most; 0 for none")
    return cosine


def _tokens(number: int) -> int:
    if 0 < number < _FEWEST_TOKENS:
        raise ValueError(f"a text has at least {_FEWEST_TOKENS} tokens; 0 takes what the lengths say")
    return number


FileText = Annotated[str, AfterValidator(_file)]
FolderText = Annotated[str, AfterValidator(_path)]
EnergyText = Annotated[str, AfterValidator(_energy)]


class SettingsSection(BaseModel):
    """A section of the settings; it has no names but its own, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _KeptSettings(SettingsSection):
    """A section whose texts a state keeps, and some of which its log signs: those have to be Unicode."""

    @field_validator("*")
    @classmethod
    def _is_unicode(cls, value: object) -> object:
        if isinstance(value, str) and not is_unicode(value):
            raise ValueError("No state can keep a name with bytes that are no UTF-8")
        return value


class RunSettings(SettingsSection):
    """What a run works on and where it keeps it."""

    state: FolderText = "state"
    """folder that holds receipts, account, keys and models"""
    task: str = "lora_delta"
    """what is improved: ``lora_delta``, ``causal-lm``, ``index_refresh``, with commas, or a class of one's
    own as ``module:Class``"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """of every random choice; in the state of a node that chose none it follows from its log"""


class ModelSettings(_KeptSettings):
    """The base model."""

    model: str = "all-MiniLM-L6-v2"
    """``all-MiniLM-L6-v2`` (embedded), a Hugging Face id, or a folder; ``causal-lm`` has one of its own where
    none is named: ``SmolLM2-135M-Instruct``"""
    new_head: Literal["frequencies", "zero"] = "frequencies"
    """what a new classification head scores before anything is learned: how often each class is in ``train``,
    or ``zero``: then all who name the same classes begin with one version, as nodes of a network have to"""
    max_tokens: Annotated[int, Field(ge=0, le=8192), AfterValidator(_tokens)] = 0
    """texts are cut to so many tokens; 0 for what their lengths say when a state begins"""
    reading: Literal["head", "head-tail"] = "head"
    """what is read of a longer text: its first tokens, or a quarter of them from its end"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where training and evaluation run"""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads of training and evaluation; 0 for the number that takes the fewest joules here"""


class DataSettings(_KeptSettings):
    """The examples."""

    train: FileText = ""
    """file, folder of ``datasets`` or ``imdb[train]`` of the hub; of documents for
    ``causal-lm``; empty for the embedded data set"""
    holdout: FileText = ""
    """likewise; empty to split it off ``train``"""
    audit: FileText = ""
    """likewise; empty to split it off ``train``"""
    text_column: str = ""
    """column of the texts, with a comma between two of a pair; a path with dots for nested fields; a number
    where there is no header; empty for the usual names"""
    label_column: str = ""
    """column of the classes, likewise"""
    encoding: str = ""
    """of text files, as Python calls it; empty to find it"""
    most_dropped: Annotated[float, Field(ge=0, le=1)] = 0.05
    """most rows of a file that are left out for lacking a text or a label, as a share"""
    balance: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """how many times the examples of the smallest class any class of ``train`` may have; 0 for as they are"""
    holdout_size: Annotated[int, Field(ge=30)] = 1024
    """most examples of a holdout or audit set that is split off; 512 for ``causal-lm`` if none is said"""
    spare_holdouts: Annotated[int, Field(ge=0, le=16)] = 1
    """holdouts that are split off beside the first, for when its error budget is spent"""
    leak_guard: Annotated[float, Field(ge=0, le=1), AfterValidator(_guard)] = 0.0
    """cosine from which on a training text that is like one that judges is left out; 0 for none, since it
    embeds every text"""


class AttemptSettings(SettingsSection):
    """One try at improving the model. What is unset here is as the recipe says."""

    reserve: EnergyText = "120J"
    """energy reserved for one attempt"""
    recipes: str = ""
    """names of the recipes to choose from, with commas; empty for those that suit the model"""
    policy: Literal["chain-eta/v1", "chain-eta/v2", "prior-eta/v1", "uniform/v1"] = "chain-eta/v1"
    """how the next recipe is chosen"""
    rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """LoRA rank"""
    alpha: Annotated[int, Field(ge=1, le=4096)] | None = None
    """LoRA scale is alpha / rank"""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """LoRA dropout"""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """peak of AdamW's learning rate"""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """examples a step"""
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """the other limit of training; joules are the first"""
    slice_size: Annotated[int, Field(ge=1)] | None = None
    """most training examples of one attempt"""
    class_weights: Literal["none", "sqrt", "balanced"] | None = None
    """what a class weighs in the training loss: ``balanced`` as much as any other, ``sqrt`` half-way there"""
    cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 256
    """most disk space of the cache between runs, MB; a run keeps what is beyond that for itself"""


class DecisionSettings(SettingsSection):
    """What an update has to show to be kept."""

    rule: Literal["evidence/v3", "evidence/v2", "evidence/v1", "whitepaper/v1"] = "evidence/v3"
    """acceptance rule"""
    error_budget: Annotated[float, Field(ge=1e-6, le=1)] = 0.01
    """``evidence/v3`` and ``v2``: most probability that one holdout ever keeps what is no improvement"""
    min_delta: Annotated[float, Field(ge=0, le=100)] = 0.002
    """smallest mean Δ, nats; of ``causal-lm`` for each token that a document has to say"""
    min_accuracy_gain: Annotated[float, Field(ge=0, le=1)] = 0.01
    """smallest accuracy gain, as a fraction"""
    z: Annotated[float, Field(ge=0, le=10)] = 3.09
    """``evidence/v1``: one-sided z that the evidence must exceed"""


class MonitorSettings(SettingsSection):
    """What a head is held against after it was kept, so that a worse one is left again."""

    monitor: str = ""
    """CSV or JSONL file that you feed with fresh labelled examples; read again at each check"""
    monitor_size: Annotated[int, Field(ge=0)] = 0
    """most examples of a sealed slice that is split off when a state begins; 0 for none"""
    monitor_error_budget: Annotated[float, Field(ge=1e-6, le=1)] = 0.01
    """most probability of ever going back without a reason"""


class IndexSettings(_KeptSettings):
    """The index of documents that ``index_refresh`` keeps."""

    index: FileText = ""
    """folder of txt, md, csv, jsonl and parquet files"""
    queries: FileText = ""
    """CSV file of ``query,document``; empty to take titles and first sentences of the documents"""
    encoder: str = ""
    """what embeds: empty for the head of ``lora_delta`` or else the embedded model; or a model's name"""
    query_count: Annotated[int, Field(ge=30, le=1024)] = 200
    """most queries of a set: holdout, audit, spares, screen"""
    document_tokens: Annotated[int, Field(ge=16, le=512)] = 128
    """of a document, so many tokens from its beginning are embedded"""
    index_reserve: Annotated[EnergyText, AfterValidator(_index_energy)] = "60J"
    """energy reserved for one attempt, at least 20 J"""
    min_delta_mrr: Annotated[float, Field(gt=0, le=1)] = 0.02
    """``no-worse/v1``: loss of mean reciprocal rank that has to be ruled out for an update to be kept"""


class EnergySettings(SettingsSection):
    """The meter."""

    credit: Literal["grant", "net"] = "grant"
    """``grant``: only granted joules count; ``net``: metered net energy is credited too"""
    tdp_w: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """thermal design power of the CPUs that this machine may use, W; unset for a rough guess"""
    powercap_root: str = "/sys/class/powercap"
    """where RAPL counters are looked for"""
    hwmon_root: str = "/sys/class/hwmon"
    """where the board's own power sensors are looked for"""
    rapl_zones: Literal["package", "psys"] = "package"
    """``package``: CPU packages and their memory; ``psys``: the whole platform in their place"""
    zeusd: str = ""
    """socket path or host:port of a zeusd that reads RAPL for us; empty for ``ZEUSD_SOCK_PATH``"""
    zeus: bool = False
    """whether AMD, Apple and Jetson devices are metered through zeus"""
    replay: str = ""
    """recorded trace that takes the place of all sources"""
    proc_root: str = "/proc"
    """where CPU time is read"""
    nvml: bool = True
    """whether NVIDIA GPUs are metered"""
    baseline_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """how long the idle baseline is learned, s"""
    baseline_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """how long the machine may take to come to rest before that, s"""
    carbon_g_per_kwh: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """CO₂e of a kilowatt-hour here, g; unset to show none"""
    carbon_source: str = ""
    """where that figure is from; shown beside it"""
    price_per_kwh: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """price of a kilowatt-hour here; unset to show none"""
    currency: str = ""
    """currency of that price"""


class AgentSettings(SettingsSection):
    """The JouleAgent daemon."""

    agent: str = ""
    """URL of a daemon to spend from, or ``unix://`` and its socket; empty for the embedded meter"""
    host: str = "127.0.0.1"
    """address that the daemon listens on"""
    port: Annotated[int, Field(ge=0, le=65535)] = 8787
    """port that the daemon listens on"""
    socket: str = ""
    """Unix socket that the daemon listens on in place of a port"""
    token: str = ""
    """bearer token; required beyond loopback"""
    timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    """how long an answer of the daemon is waited for, s"""
    metrics_owners: Annotated[int, Field(ge=0, le=200)] = 20
    """most owners that ``/metrics`` names with their net energy; 0 for none"""


class WitnessSettings(SettingsSection):
    """Whose memory, beside our own, the log is held against."""

    trust: FileText = ""
    """policy file that names the witnesses of this log; empty for none"""
    witnessing: Literal["async", "required"] = "async"
    """``async``: a run never waits for them; ``required``: nothing takes effect without a quorum"""
    witness_timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    """how long the witnesses' answers to one head are waited for, s"""


class NetworkSettings(SettingsSection):
    """What a node takes of what other nodes offer."""

    adopt: Literal["when-it-pays", "never"] = "when-it-pays"
    """``when-it-pays``: a run makes a round where that is expected to bring as much for a joule as training;
    ``never``: only ``cryoflux node round`` makes one"""
    adopt_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """share of all joules that a run keeps its rounds within; ``cryoflux node round`` counts in it"""
    candidates: Annotated[int, Field(ge=1, le=48)] = 8
    """most offers of a round, strangers apart"""
    guards: str = ""
    """CSV or JSONL files, with commas, that what is adopted must not make worse; empty for none"""


class FleetSettings(SettingsSection):
    """Who makes the attempts of a run: this process, or workers that it speaks to."""

    workers: Annotated[int, Field(ge=0, le=12)] = 0
    """workers that train at once; 0 where the run trains by itself"""
    fleet: str = "local"
    """``local`` for processes of this machine, or a Ray cluster: ``ray://HOST:10001``"""
    worker_agent: str = ""
    """URL, on each worker's machine, of the JouleAgent that meters it; empty for a meter of its own"""
    fleet_home: str = ""
    """folder on a cluster's machines for the accounts of their workers; empty for the user's state folder"""
    worker_silence: Annotated[int, Field(ge=5, le=86_400)] = 60
    """a worker that hears nothing for so long ends by itself, and is taken for lost half as long after, s"""


class ModelsSettings(SettingsSection):
    """The versions that a state keeps."""

    keep: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """newest versions of each task whose files stay when others are pruned; 0 for all"""
    prune: Literal["by-hand", "after-merge"] = "by-hand"
    """``after-merge``: a run frees what is beyond that; ``by-hand``: only ``cryoflux models prune`` does"""

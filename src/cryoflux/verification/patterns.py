"""A fast way of reading an entry whose bytes lie exactly in the form that most entries have.

The canonical bytes of a statement are a regular language but for free texts and lists: known keys in one
order, values with one spelling each. So each model of a statement becomes one pattern, made of the model's
own fields; what it matches is well formed and canonical, and every value stands in one of its groups. Lists
and mappings are read by the model's own parser, once for each different text, since most repeat.

Only less than what is allowed is matched here: numbers of up to 15 digits, texts with no escape but those of
quote and backslash. Whatever does not match is no finding: `cryoflux.receipts.entry` reads it, and says what
is wrong, if anything is.
"""

from __future__ import annotations

__all__ = ["read_attempt"]

import binascii
import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import sha256
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.fields import SAFE
from cryoflux.receipts.statement import (
    Base,
    Data,
    Decision,
    Holdout,
    IntentStatement,
    ReceiptStatement,
    Rule,
    Statement,
)
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from cryoflux.signing.envelope import Envelope

_HEAD = b'{"payload":"'
_MIDDLE = b'","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"'
_SIG, _END = b'","sig":"', b'"}]}'
_KEYID = re.compile(rb"[0-9a-f]{64}")
_KEYID_BYTES, _SIGNATURE_BYTES = 64, 88
_SIG_AT = -len(_END) - _SIGNATURE_BYTES - len(_SIG)
_KEYID_AT = _SIG_AT - _KEYID_BYTES
_MIDDLE_AT = _KEYID_AT - len(_MIDDLE)
_PLAIN = r'[^"\\\x00-\x1f\x7f]*'
_TEXT = rf'"({_PLAIN}(?:\\["\\]{_PLAIN})*)"'
_LIST, _MAPPING = r"(\[[^\[\]]*\])", r"(\{[^{}]*\})"
_DIGITS = 15
"""a number of so many digits is below 2^53 and above −2^53"""
_SIMPLE = re.compile(r"\^(?:[0-9A-Za-z?|(){},\[\]:-]|\\\.)*\$")
"""patterns that mean the same to every matcher"""
_UP_TO_BMP = re.compile(r"[\x00-\uffff]*")
_REPEATED = frozenset({Base, Data, Decision, Holdout, Rule})
"""models that say the same in many entries: each different text is made into one object"""
_MOST_REMEMBERED = 4_096

_Groups = Sequence[str | None]
_Read = Callable[[_Groups], Any]


class _OtherFormError(Exception):
    """The text is not in the form that is read here."""


class _Pattern:
    """A pattern under construction: its text, and how many groups it has so far."""

    def __init__(self) -> None:
        self.groups = 0

    def group(self) -> int:
        """The place that the next group will have."""
        self.groups += 1
        return self.groups - 1


def _bounds(metadata: Sequence[Any]) -> dict[str, Any]:
    """The constraints of a field: ``ge``, ``le``, ``pattern``, ``max_length``."""
    found: dict[str, Any] = {}
    for item in metadata:
        parts = item.metadata if isinstance(item, FieldInfo) else [item]
        for part in parts:
            for name in ("ge", "le", "gt", "lt", "multiple_of", "pattern", "max_length", "min_length"):
                if getattr(part, name, None) is not None:
                    found[name] = getattr(part, name)
    return found


def _integer(pattern: _Pattern, bounds: dict[str, Any], *, omitted: bool) -> tuple[str, _Read]:
    if set(bounds) != {"ge", "le"} or bounds["ge"] not in (0, 1, -SAFE) or bounds["le"] != SAFE:
        raise NotImplementedError(bounds)
    at, positive = pattern.group(), rf"[1-9][0-9]{{0,{_DIGITS - 1}}}"
    other = rf"0|{'-?' if bounds['ge'] < 0 else ''}{positive}"
    text = positive if omitted or bounds["ge"] == 1 else other
    return f"({text})", lambda groups: int(groups[at] or "")


def _text(pattern: _Pattern, bounds: dict[str, Any], *, omitted: bool) -> tuple[str, _Read]:
    at = pattern.group()
    if set(bounds) == {"pattern"}:
        if _SIMPLE.fullmatch(inner := bounds["pattern"]) is None:
            raise NotImplementedError(inner)
        inner = inner[1:-1].replace("(", "(?:")

        def read_pattern(groups: _Groups) -> str:
            found = groups[at] or ""
            if omitted and not found:
                raise _OtherFormError
            return found

        return f'"({inner})"', read_pattern
    if set(bounds) != {"max_length"}:
        raise NotImplementedError(bounds)
    most = bounds["max_length"]

    def read(groups: _Groups) -> str:
        found = groups[at] or ""
        if len(found) > most or (omitted and not found):
            raise _OtherFormError
        return json.loads(f'"{found}"') if "\\" in found else found

    return _TEXT, read


def _named(pattern: _Pattern, values: dict[str, Any], *, quote: str = '"') -> tuple[str, _Read]:
    at, names = pattern.group(), "|".join(map(re.escape, values))
    return f"{quote}({names}){quote}", lambda groups: values[groups[at] or ""]


def _parsed(pattern: _Pattern, annotation: Any, text: str, *, omitted: bool) -> tuple[str, _Read]:
    """A list or a mapping, read by the model's own parser, each different one once."""
    at, adapter = pattern.group(), TypeAdapter[Any](annotation)
    known: dict[str, Any] = {}

    def read(groups: _Groups) -> Any:
        found = groups[at] or ""
        if (value := known.get(found)) is None:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            value = known[found] = _strictly(adapter, found)
        return value

    return (text.replace("*", "+") if omitted else text), read


def _strictly(adapter: TypeAdapter[Any], text: str) -> Any:
    try:
        value = adapter.validate_json(text, strict=True)
    except ValidationError:
        raise _OtherFormError from None
    said = adapter.dump_python(value, mode="json", by_alias=True)
    again = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Keys beyond the basic plane sort in another way; the careful parser knows how.
    if again != text or _UP_TO_BMP.fullmatch(text) is None:
        raise _OtherFormError
    return value


def _value(
    pattern: _Pattern, annotation: Any, metadata: Sequence[Any], *, omitted: bool
) -> tuple[str, _Read]:
    """The pattern of a value, and how to read it from the groups."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = [*metadata, *more]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not NoneType)
        return _nullable(pattern, inner, omitted=omitted)
    if origin is Literal:
        return _named(pattern, {one: one for one in arguments})
    if origin in (list, dict):
        whole = Annotated[annotation, *metadata] if metadata else annotation
        return _parsed(pattern, whole, _MAPPING if origin is dict else _LIST, omitted=omitted)
    return _single(pattern, annotation, metadata, omitted=omitted)


def _single(
    pattern: _Pattern, annotation: Any, metadata: Sequence[Any], *, omitted: bool
) -> tuple[str, _Read]:
    if annotation is bool:
        return _named(pattern, {"true": True, "false": False}, quote="")
    if annotation in (int, str):
        read = _integer if annotation is int else _text
        return read(pattern, _bounds(metadata), omitted=omitted)
    if issubclass(annotation, Enum):
        return _named(pattern, {one.value: one for one in annotation})
    if not issubclass(annotation, BaseModel):
        raise NotImplementedError(annotation)
    return _model(pattern, annotation)


def _nullable(pattern: _Pattern, annotation: Any, *, omitted: bool) -> tuple[str, _Read]:
    at = pattern.group()
    text, read = _model(pattern, annotation)
    if omitted:  # it is left out where it is none
        return f"({text})", read
    return f"(?:null|({text}))", lambda groups: None if groups[at] is None else read(groups)


def _model(pattern: _Pattern, model: type[BaseModel]) -> tuple[str, _Read]:
    whole = pattern.group()
    fields = sorted((field.alias or name, name, field) for name, field in model.model_fields.items())
    first = next(place for place, (_, _, field) in enumerate(fields) if field.exclude_if is None)
    parts: list[str] = []
    reads: list[tuple[str, int | None, _Read, Any]] = []
    for place, (alias, name, field) in enumerate(fields):
        omitted = _omitted(field)
        at = pattern.group() if omitted else None
        text, read = _value(pattern, field.annotation, field.metadata, omitted=omitted)
        item = f'"{re.escape(alias)}":{text}'
        item = f"{item}," if place < first else f",{item}" if place > first else item
        parts.append(f"({item})?" if omitted else item)
        reads.append((name, at, read, field.default))
    order = list(model.model_fields)
    make = _maker(model, sorted(reads, key=lambda read: order.index(read[0])))
    text = r"(\{" + "".join(parts) + r"\})"
    return text, _remembering(make, whole) if model in _REPEATED else make


def _omitted(field: FieldInfo) -> bool:
    """Whether a field is left out where it says nothing."""
    if field.exclude_if is None:
        return False
    if not all(map(field.exclude_if, (0, "", None, []))) or any(map(field.exclude_if, (1, "x", [1]))):
        raise NotImplementedError(field)
    if field.default or field.default_factory is not None:
        raise NotImplementedError(field)
    return True


def _maker(model: type[BaseModel], reads: list[tuple[str, int | None, _Read, Any]]) -> _Read:
    names = set(model.model_fields)
    put = object.__setattr__

    def make(groups: _Groups) -> BaseModel:
        # What `model_construct` does, without looking at every field again: the pattern has done that.
        made = model.__new__(model)
        put(
            made,
            "__dict__",
            {
                name: default if at is not None and groups[at] is None else read(groups)
                for name, at, read, default in reads
            },
        )
        put(made, "__pydantic_fields_set__", names)
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made

    return make


def _remembering(make: _Read, at: int) -> _Read:
    known: dict[str, Any] = {}

    def read(groups: _Groups) -> Any:
        text = groups[at] or ""
        if (found := known.get(text)) is None:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            found = known[text] = make(groups)
        return found

    return read


def _compiled(model: type[BaseModel]) -> tuple[re.Pattern[str], _Read]:
    """The pattern of a kind of statement, and what makes a statement of its groups.

    Raises:
        NotImplementedError: a field is of a kind that no pattern is known for.
    """
    pattern = _Pattern()
    text, read = _model(pattern, model)
    return re.compile(text), read


_KINDS = (_compiled(ReceiptStatement), _compiled(IntentStatement))


def _statement(payload: bytes, place: int) -> Statement | None:
    """The statement of a payload, if it is in the usual form; ``place`` says which kind to try first."""
    try:
        text = payload.decode()
        for pattern, read in (_KINDS[place], _KINDS[1 - place]):
            if (found := pattern.fullmatch(text)) is not None:
                statement: Statement = read(found.groups())
                return statement
    except (UnicodeDecodeError, _OtherFormError):
        pass
    return None


def _opened(envelope: bytes) -> Envelope | None:
    """What an envelope holds, if every byte of it is where it usually is."""
    keyid, signature = envelope[_KEYID_AT:_SIG_AT], envelope[_SIG_AT + len(_SIG) : -len(_END)]
    fixed = (envelope[: len(_HEAD)], envelope[_MIDDLE_AT:_KEYID_AT], envelope[_SIG_AT:][: len(_SIG)])
    if fixed != (_HEAD, _MIDDLE, _SIG) or not envelope.endswith(_END) or not signature.endswith(b"=="):
        return None
    encoded = envelope[len(_HEAD) : _MIDDLE_AT]
    try:
        payload, raw = binascii.a2b_base64(encoded), binascii.a2b_base64(signature)
    except binascii.Error:
        return None
    # That encoding it again gives the same is all that there is to say about the spelling.
    if b64encode(payload) != encoded or b64encode(raw) != signature or _KEYID.fullmatch(keyid) is None:
        return None
    return Envelope(payload, keyid.decode(), raw)


def _quickly(index: int, envelope: bytes) -> Entry | None:
    if len(envelope) > MAX_ENTRY_BYTES or (signed := _opened(envelope)) is None:
        return None
    if (statement := _statement(signed.payload, 1 - index % 2)) is None:
        return None
    return Entry(index, envelope, sha256(b"\x00" + envelope).hexdigest(), statement, signed)


def read_attempt(index: int, envelope: bytes) -> Entry:
    """Read the entry of an attempt, quickly where its bytes have the usual form.

    Raises:
        VerificationError: envelope or statement are not well formed and canonical, or say something else.
    """
    return _quickly(index, envelope) or parse_entry(index, envelope)

"""A signature over all files of a repository, in the form of OpenSSF's model-signing, without a network.

It is beside the receipts, which are signed by other keys and about other things: it says who hands these
files on, and `model_signing verify key` checks it without CryoFlux.
"""

from __future__ import annotations

__all__ = ["SIGNATURE", "sign_files"]

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.integrations.hub import HubFile

SIGNATURE = "model.sig"
"""a Sigstore bundle; it is not among what it signs"""
_NOT_SIGNED = (SIGNATURE, ".cache")
"""``.cache`` is where huggingface_hub keeps what it knows of a download"""
_MOST_BYTES = 64_000_000
"""of a signature: it names each file with its digest"""
_MAKE = "openssl ecparam -name prime256v1 -genkey -noout -out signer.pem"


def sign_files(files: Sequence[HubFile], key: Path) -> HubFile:
    """The signature over some files, as one more of them.

    Args:
        files: all that is handed on.
        key: a private key in PEM, of P-256, P-384 or P-521, without a password.

    Raises:
        UsageError: model-signing is not installed, or the key is none that it takes.
    """
    try:
        from model_signing import hashing, signing
    except ImportError as error:  # it needs pyOpenSSL, which it does not ask for by itself
        raise UsageError(
            "model-signing cannot be used.",
            why=f"A signature of that form is made by its own library ({error}).",
            hint="Install it: pip install 'cryoflux[sign]'",
        ) from error
    with tempfile.TemporaryDirectory(prefix="cryoflux-sign-") as place:
        root = Path(place) / "model"
        for one in files:
            _lay(root / one.name, one.content)
        how = hashing.Config().set_ignored_paths(paths=_NOT_SIGNED).set_allow_symlinks(True)
        try:
            signer = signing.Config().set_hashing_config(how).use_elliptic_key_signer(private_key=key)
        except (OSError, TypeError, ValueError, AttributeError) as error:
            raise _refused(key, error) from error
        signer.sign(root, Path(place) / SIGNATURE)
        return HubFile(SIGNATURE, read_regular(Path(place) / SIGNATURE, _MOST_BYTES))


def _lay(place: Path, content: bytes | Path) -> None:
    """A file where the library looks for it: weights are not copied for that."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        place.symlink_to(content.resolve())


def _refused(key: Path, error: Exception) -> UsageError:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(
        f"{key} is no key that model-signing signs with: {why}.",
        why="It takes a private key in PEM, of P-256, P-384 or P-521, without a password.",
        hint=f"Make one, and keep it: {_MAKE}",
    )

"""Certificates that a job trusts because its launcher does: what goes along of the file that the settings name.

The containers have that file not; what they trust anyway need not go along. Start reading at `carried`.
"""

from __future__ import annotations

import os
import re

from metaflow.exception import SettingsError

_MOST = 32_000
"""Characters: what the services take in a variable, with room for the others."""


def carried(path: str | None) -> str:
    """Return the certificates of a file that are not in this machine's own list, as PEM; empty for none.

    Raises
    ------
    SettingsError
        The file cannot be read, has none, or too many.
    """
    if path is None:
        return ""
    import ssl

    try:
        with open(os.path.expanduser(path), encoding="ascii", errors="replace") as file:
            found = re.findall("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", file.read(), re.DOTALL)
    except OSError as error:
        raise SettingsError(f"The certificates in {path} cannot be read: {error.strerror}.", hint=_HINT) from error
    if not found:
        raise SettingsError(f"The file {path} has no certificates in the form PEM.", hint=_HINT)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(found))
        named = {ssl.PEM_cert_to_DER_cert(each): each for each in found}
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError(f"The certificates in {path} are damaged: {error}.", hint=_HINT) from error
    known = set(ssl.create_default_context().get_ca_certs(binary_form=True))
    own = "".join(f"{text.strip()}\n" for der, text in named.items() if der not in known)
    if len(own) > _MOST:
        raise SettingsError(
            f"The certificates in {path} are too many to go along with a job ({len(own)} characters).",
            hint="name a file with the certificate of your own authority only",
        )
    return own


_HINT = "METAFLOW_S3_VERIFY_CERTIFICATE (or AWS_CA_BUNDLE) names this file"

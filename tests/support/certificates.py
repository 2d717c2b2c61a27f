"""Certificates for servers of tests, and a server that ends TLS in front of another one."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate(NamedTuple):
    """A certificate and its key.

    Attributes
    ----------
    path : Path
        A file in the form PEM: the certificate.
    key : ec.EllipticCurvePrivateKey
        Its key, also in ``path`` with another suffix.
    certificate : x509.Certificate
        Itself.
    """

    path: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_path(self) -> Path:
        return self.path.with_suffix(".key")


def certificate(
    path: Path, address: str | None = None, issuer: Certificate | None = None, *, is_authority: bool = False
) -> Certificate:
    """Make a certificate: of a server at `address`, of an authority; signed by `issuer`, else by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    made = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    found = Certificate(path, key, made)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    found.key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    return found


@contextmanager
def tls_before(server: str, port: int, shown: Certificate, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve what another server serves, by TLS; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.path, shown.key_path)
    ports: list[int] = []
    ready, loop = Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, answer = await asyncio.open_connection(server, port)
        await asyncio.gather(copy(reader, answer), copy(there, writer))

    async def main() -> None:
        listening = await asyncio.start_server(serve, host, 0, ssl=context)
        ports.append(listening.sockets[0].getsockname()[1])
        ready.set()
        await over.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()

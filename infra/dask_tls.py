"""A certificate for the connections of one Dask cluster: who has its key may connect, nobody else.

Dask runs whatever a connected client sends. A cluster of several machines listens beyond loopback, where other users
of the same machines could reach it; so its scheduler, workers and client show each other this certificate.
As a command it writes one for an sbatch script: ``python -m infra.dask_tls FOLDER``.
"""

import sys
from pathlib import Path

from distributed import Security

from infra.private_file import write_private

CERTIFICATE = "certificate.pem"
KEY = "key.pem"


def write_certificate(folder: Path) -> Security:
    """Write a new certificate, valid for a year, and its key to a folder that only this user may read.

    Args:
        folder: on storage that all machines of the cluster share; made if missing.

    Returns:
        Dask's settings for all roles, which name the files.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    made = Security.temporary()  # type: ignore[no-untyped-call]  # distributed has types in part only
    certificate, key = folder / CERTIFICATE, folder / KEY
    write_private(certificate, made.tls_ca_file)
    write_private(key, made.tls_worker_key)
    roles = {f"tls_{role}_cert": str(certificate) for role in ("client", "scheduler", "worker")}
    roles |= {f"tls_{role}_key": str(key) for role in ("client", "scheduler", "worker")}
    return Security(require_encryption=True, tls_ca_file=str(certificate), **roles)  # type: ignore[no-untyped-call]  # as above


if __name__ == "__main__":
    write_certificate(Path(sys.argv[1]))

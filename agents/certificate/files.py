"""A certificate on disk, beside the run that it is about."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from rl_larnn.agents.certificate.picture import draw
from rl_larnn.agents.certificate.verdict import Certificate
from rl_larnn.agents.certificate.words import markdown, paragraph
from rl_larnn.errors import UserError
from rl_larnn.files import replacing, write_json

_SUFFIXES = (".json", ".md", ".png")


def save_certificate(certificate: Certificate, folder: Path) -> list[Path]:
    """Write ``certificate.json``, ``.md`` and, where matplotlib is installed, ``.png``; ``certificate-2`` and so on
    where there is one already.

    :return: the files
    :raises UserError: if the folder cannot be written to
    """
    numbers = ("" if number == 1 else f"-{number}" for number in count(1))
    names = (f"certificate{number}" for number in numbers)
    stem = next(name for name in names if not any((folder / f"{name}{suffix}").exists() for suffix in _SUFFIXES))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(certificate, folder, stem)
    except OSError as error:
        raise UserError(f"cannot write the certificate into {folder}: {error.strerror or error}") from error


def _write(certificate: Certificate, folder: Path, stem: str) -> list[Path]:
    json_file, text_file, picture_file = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    try:
        # matplotlib reads the format from the suffix, so the temporary name must keep it.
        with replacing(picture_file) as temporary:
            drawn = temporary.with_name(f"{temporary.name}.png")
            draw(certificate, drawn)
            drawn.replace(temporary)
        picture = picture_file.name
    except UserError:
        picture = None
    with replacing(text_file) as temporary:
        temporary.write_text(markdown(certificate, picture), encoding="utf-8")
    write_json(json_file, {"paragraph": paragraph(certificate), **certificate.to_json()})
    return [json_file, text_file] + ([picture_file] if picture else [])

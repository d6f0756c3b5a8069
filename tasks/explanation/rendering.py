"""From a template and values to one HTML file: escaping on, scripts fixed, nothing fetched."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.explanation import distance_colour, wording

TEMPLATES = Path(__file__).parent / "templates"


def write_html(template: str, path: Path, *, script: str, **values: object) -> None:
    """Renders a template of this folder to a file, in UTF-8, with a script of this folder.

    The page's policy lets it run its own script (known by its hash), use inline styles and show data: pictures, and
    nothing else: even markup that slipped through could neither run nor reach the network.
    """
    code = (TEMPLATES / script).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode("ascii")
    page = _environment().get_template(template).render(script=Markup(code), script_digest=digest, **values)
    # A file name may hold what is no text (lone surrogates stand for its bytes): show a question mark there.
    path.write_text(page, encoding="utf-8", errors="replace")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": wording.number,
        "percent": wording.percent,
        "interval": wording.interval,
        "distance": wording.distance,
        "alike": wording.alike,
        "among_pairs": wording.among_pairs,
        "additive_words": wording.additive_words,
        "closest": wording.closest,
        "part_words": wording.part_words,
        "standing_words": wording.standing_words,
        "distance_colour": distance_colour.distance_colour,
        "score_colour": distance_colour.score_colour,
        "ink_on": distance_colour.ink_on,
    }
    environment.filters.update(filters)
    environment.globals["distance_stops"] = distance_colour.DISTANCE_STOPS
    return environment

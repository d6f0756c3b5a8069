"""The registered model, as MLflow loads it: explains pairs of photos.

Input: a data frame with the columns `photo_a` and `photo_b` (files), and optionally `mask_a` and `mask_b`. Output: for
each row what explanation.json holds. With the parameter `out` (a folder) each row's page and picture are written to
`out/ROW`.
"""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tasks.explanation.explain_photos import explain_photos
from tasks.explanation.explanation_json import explanation_json
from tasks.metric.trained_tree import open_trained_tree


class PairModel(PythonModel):
    """A trained tree behind MLflow's `predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the trained tree."""
        self.trained = open_trained_tree(Path(context.artifacts["tree"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Explain each row's pair.

        Raises:
            InputError: a photo or a mask cannot be used.
        """
        explanations: list[dict[str, Any]] = []
        for row in model_input.to_dict("records"):
            masks = tuple(Path(row[name]) if row.get(name) else None for name in ("mask_a", "mask_b"))
            with tempfile.TemporaryDirectory() as scratch:
                out = Path((params or {}).get("out") or scratch) / str(len(explanations))
                photos = (Path(row["photo_a"]), Path(row["photo_b"]))
                explanations.append(explanation_json(explain_photos(self.trained, photos, (masks[0], masks[1]), out)))
        return explanations


mlflow.models.set_model(PairModel())

"""Imported before MLflow, which reads these variables once: no telemetry, no progress bars, no patience."""

import os

_VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is gone is to cost a training seconds, not MLflow's own minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}

for _name, _value in _VARIABLES.items():
    os.environ.setdefault(_name, _value)

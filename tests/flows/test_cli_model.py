from dataclasses import fields
from inspect import signature

import pytest

from flows.cli_model import training_options
from flows.cli_study import reproduce
from flows.cli_train import train
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions


def test_a_training_takes_a_command_s_arguments_by_their_names() -> None:
    made = training_options({"store": "faces", "epochs": 3, "loss": "snr"})
    assert made == TrainingOptions(epochs=3, loss="snr")
    with pytest.raises(InputError, match="epochs"):
        training_options({"epochs": 0})


def test_the_commands_have_the_options_defaults_and_leave_out_what_is_the_machine_s() -> None:
    defaults = {field.name: field.default for field in fields(TrainingOptions)}
    asked = {name: found.default for name, found in signature(train).parameters.items() if name in defaults}
    assert set(defaults) - set(asked) == {"device", "threads"}
    of_a_study = {name: found.default for name, found in signature(reproduce).parameters.items() if name in defaults}
    for given in (asked, of_a_study):
        assert given == {name: defaults[name] for name in given}

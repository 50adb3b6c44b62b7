"""A checkpoint comes back as it was, or is refused with one clear sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from vaecli.config import fit_config
from vaecli.errors import BundleError
from vaecli.results import Event
from vaecli.training import schedule
from vaecli.training.checkpoint import Checkpoint, load_checkpoint
from vaecli.workflows.fit import fit

CHECKPOINT = Checkpoint(
    "abc",
    {"step": 7, "seconds": 1.25, "families": [{"history": [{"step": 5, "elbo": -1 / 3, "kl": 0.1}], "best": None}]},
    {
        "0/now/w": np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32),
        "generator": np.arange(50, dtype=np.uint8),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    },
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "model.vae.checkpoint"
    CHECKPOINT.save(found)
    return found


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load_checkpoint(path, "abc")
    assert str(path) in caught.value.message
    assert "--resume" in caught.value.hint
    return caught.value


def test_it_comes_back_bit_for_bit(path: Path) -> None:
    """Progress and arrays are those that were saved, to the last bit."""
    found = load_checkpoint(path, "abc")
    assert found is not None
    assert found.progress == CHECKPOINT.progress
    assert found.arrays.keys() == CHECKPOINT.arrays.keys()
    for name, array in CHECKPOINT.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_none_means_a_fresh_start(tmp_path: Path) -> None:
    """Where there is no checkpoint there is nothing to resume, and that is no error."""
    assert load_checkpoint(tmp_path / "none", "abc") is None


def test_saving_replaces_the_earlier_one(path: Path) -> None:
    """A later checkpoint replaces the earlier, and nothing else is left beside it."""
    Checkpoint("abc", {"step": 8}, {}).save(path)
    found = load_checkpoint(path, "abc")
    assert found is not None
    assert found.progress == {"step": 8}
    assert list(path.parent.iterdir()) == [path]


def test_another_fits_checkpoint_is_refused(path: Path) -> None:
    """A checkpoint of another table or other settings is never gone on from."""
    with pytest.raises(BundleError, match="another table, with other settings or by another vaecli"):
        load_checkpoint(path, "another")


@pytest.mark.parametrize("size", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused(path: Path, size: int) -> None:
    """A file cut anywhere is called damaged, not read in part."""
    path.write_bytes(path.read_bytes()[:size])
    assert "damaged" in refusal(path).message


@pytest.mark.parametrize(
    "content",
    [
        b"not a checkpoint at all",
        b"\xff" * 64,
        save({"a": np.zeros(1)}),
        save({"a": np.zeros(1)}, metadata={"identity": "abc", "progress": "{"}),
        save({"a": np.zeros(1)}, metadata={"progress": json.dumps({})}),
    ],
    ids=["text", "ones", "no metadata", "broken JSON", "no identity"],
)
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    """What is no checkpoint is called damaged."""
    path.write_bytes(content)
    assert "damaged" in refusal(path).message


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """A folder of that name is an error, not a crash."""
    refusal(tmp_path)


# ------------------------------------------------------------------------------------------ of a whole fit

SETTINGS = {
    "train.max_steps": 20,
    "heteroscedastic.n_hidden": 4,
    "heteroscedastic.n_latent": 2,
    "homoscedastic.n_hidden": 4,
    "homoscedastic.n_latent": 2,
    "model.n_exemplars": 10,
}


class Interrupted(Exception):
    """Ctrl-C, for tests."""


def interrupt_while_training(event: Event) -> None:
    if event.stage == "training":
        raise Interrupted


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fit of table.csv that was stopped half-way."""
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    rng = np.random.default_rng(0)
    pd.DataFrame({"on": rng.choice(["yes", "no"], 60), "mode": rng.choice(["a", "b"], 60)}).to_csv(
        tmp_path / "table.csv", index=False
    )
    with pytest.raises(Interrupted):
        fit(
            [str(tmp_path / "table.csv")],
            tmp_path / "model.vae",
            fit_config(SETTINGS),
            on_event=interrupt_while_training,
        )
    assert (tmp_path / "model.vae.checkpoint").exists()
    return tmp_path


def test_an_interrupted_fit_goes_on_to_the_same_bundle(interrupted: Path) -> None:
    """With --resume the bundle is, byte for byte, that of a fit which nothing interrupted; the checkpoint is gone."""
    table, config = [str(interrupted / "table.csv")], fit_config(SETTINGS)
    fit(table, interrupted / "whole.vae", config)
    fit(table, interrupted / "model.vae", fit_config(SETTINGS | {"resume": True}))
    assert (interrupted / "model.vae").read_bytes() == (interrupted / "whole.vae").read_bytes()
    assert not (interrupted / "model.vae.checkpoint").exists()


def test_a_table_with_the_same_counts_is_another_table(interrupted: Path) -> None:
    """Cells that only changed places give the same schema and statistics, and still another fit."""
    table = pd.read_csv(interrupted / "table.csv")
    table["mode"] = table["mode"].to_numpy()[::-1]
    table.to_csv(interrupted / "table.csv", index=False)
    with pytest.raises(BundleError, match="another table"):
        fit([str(interrupted / "table.csv")], interrupted / "model.vae", fit_config(SETTINGS | {"resume": True}))

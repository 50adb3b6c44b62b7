"""vaecli on Spark DataFrames: rows are scored, encoded or reconstructed where Spark has them, as by the command line.

    import vaecli.spark
    scored = vaecli.spark.score(df, "model.vae", threshold=0.99, explain=3)

Needs the extra `vaecli[spark]`, and vaecli in the same version wherever Spark runs Python. docs/how-to/spark.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["encode", "reconstruct", "score"]


def score(df: DataFrame, model: str | Path, **settings: Any) -> DataFrame:
    """The rows of a Spark DataFrame with the columns that `vaecli score` adds; nothing runs before an action.

    `model` is the path of a bundle on this machine. `settings` are those of `vaecli score`: threshold, min_score,
    score_kind, anomalies_only, explain, prefix, batch_rows.

    Returns a DataFrame with the columns of `df`, with their types and in their order, and `anomaly_score`, `p_value`,
    `is_anomaly`, and with `explain` `top_columns`.

    Raises SchemaMismatch where columns of the model are missing, BundleError, MissingPackage without the Spark client,
    and UsageError for settings that make no sense and for models of series. What turns up in the rows is raised by the
    action, as an exception of Spark whose text has file or partition, row, column and value.

    >>> scored = vaecli.spark.score(df, "cars.vae", explain=2)
    >>> scored.columns[-4:]
    ['anomaly_score', 'p_value', 'is_anomaly', 'top_columns']
    """
    from vaecli.config.score import score_settings
    from vaecli.workflows.score_spark import scored

    return scored(df, Path(model), score_settings(settings))


def encode(df: DataFrame, model: str | Path, **settings: Any) -> DataFrame:
    """The rows of a Spark DataFrame with the coordinates of their latent codes; nothing runs before an action.

    `model` is the path of a bundle on this machine. `settings` are those of `vaecli encode --keep`: dims, spreads,
    prefix, batch_rows.

    Returns a DataFrame with the columns of `df` and then z1, z2, … or, with `dims`, map1, map2, … Raises as `score`.

    >>> vaecli.spark.encode(df, "cars.vae", dims=2).columns[-2:]
    ['map1', 'map2']
    """
    from vaecli.config import encode_config
    from vaecli.config.python_names import known
    from vaecli.workflows.encode_spark import encoded

    given = known(settings, ("dims", "spreads", "prefix", "batch_rows"))
    return encoded(df, Path(model), encode_config(given | {"keep": True}, environment={}))


def reconstruct(df: DataFrame, model: str | Path, **settings: Any) -> DataFrame:
    """The rows of a Spark DataFrame as the model expects them; nothing runs before an action.

    `model` is the path of a bundle on this machine. `settings` are those of `vaecli reconstruct`: impute (missing
    cells only), batch_rows.

    Returns a DataFrame with the columns of `df`, with their types and in their order. Raises as `score`.

    >>> filled = vaecli.spark.reconstruct(df, "cars.vae", impute=True)
    """
    from vaecli.config import reconstruct_config
    from vaecli.config.python_names import known
    from vaecli.workflows.reconstruct_spark import reconstructed

    config = reconstruct_config(known(settings, ("impute", "batch_rows")), environment={})
    return reconstructed(df, Path(model), config)

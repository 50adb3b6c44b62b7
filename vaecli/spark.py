"""vaecli on Spark DataFrames: rows are scored where Spark has them, with the scores of `vaecli score`.

    import vaecli.spark
    scored = vaecli.spark.score(df, "model.vae", threshold=0.99, explain=3)

Needs the extra `vaecli[spark]`, and vaecli in the same version wherever Spark runs Python. docs/how-to/spark.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["score"]


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

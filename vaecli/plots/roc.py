"""The ROC and precision-recall curves of an evaluation, as a picture."""

from __future__ import annotations

import numpy as np

from vaecli.evaluation.metrics import Labelled, curve
from vaecli.plots.figure import BACKGROUND, new_figure, write_figure


def draw_curves(path: str, rows: Labelled) -> None:
    """Draw every method of `rows`, the first in front and with its threshold as a point. Both classes must be there.

    matplotlib is loaded here.
    """
    figure, [roc, precise] = new_figure((1, 1))
    for i, (method, score) in enumerate(rows.scores.items()):
        alarms, recall, precision = curve(score, rows.is_anomaly)
        style = {"linewidth": 2.2 if i == 0 else 1.1, "zorder": 3 if i == 0 else 2, "color": f"C{i}"}
        roc.plot(np.append(0.0, alarms), np.append(0.0, recall), label=method, **style)
        precise.step(np.append(0.0, recall), np.append(precision[0], precision), label=method, where="pre", **style)
    true, false = (rows.flagged & rows.is_anomaly).sum(), (rows.flagged & ~rows.is_anomaly).sum()
    n_anomalies = rows.is_anomaly.sum()
    point = {"color": "C0", "marker": "o", "linestyle": "", "markersize": 8, "zorder": 4, "label": "at the threshold"}
    roc.plot([false / (rows.is_anomaly.size - n_anomalies)], [true / n_anomalies], **point)
    if true + false:
        precise.plot([true / n_anomalies], [true / (true + false)], **point)
    roc.plot([0, 1], [0, 1], color=BACKGROUND, linewidth=1, zorder=1)
    precise.axhline(n_anomalies / rows.is_anomaly.size, color=BACKGROUND, linewidth=1, zorder=1)
    roc.set(title="ROC", xlabel="false alarms: share of the normal rows", ylabel="recall: share of the anomalies")
    precise.set(title="Precision and recall", xlabel="recall: share of the anomalies", ylabel="precision")
    for axes in (roc, precise):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    roc.legend(loc="lower right", frameon=False)
    write_figure(path, figure)

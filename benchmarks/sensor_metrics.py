"""What a row score of a series is worth: areas under curves, shares at the flags, and events.

No figure uses point adjustment: under it a random score looks like the state of the art (Kim et al., “Towards a
rigorous evaluation of time-series anomaly detection”, AAAI 2022).
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

BUFFER = 100  # rows; the widest buffer around an event, half of it on each side
THRESHOLDS = 250
MERGE_GAP = 5  # flagged runs with at most so many rows between them are one event

Runs = list[tuple[int, int]]


def runs(label: np.ndarray) -> Runs:
    """The (first, last) rows, both included, of each run of ones in a label (n,)."""
    steps = np.diff(np.concatenate([[0], np.asarray(label, np.int8), [0]]))
    firsts, lasts = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def merged(found: Runs, gap: int) -> Runs:
    """Runs with at most `gap` rows between them joined."""
    out: Runs = []
    for first, last in found:
        if out and first - out[-1][1] - 1 <= gap:
            out[-1] = (out[-1][0], last)
        else:
            out.append((first, last))
    return out


def measures(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Areas of a score (n,), higher is more anomalous, against a label (n,) of 0 and 1 that holds both."""
    vus_roc, vus_pr = volumes(label, score)
    return {
        "vus_pr": vus_pr,
        "vus_roc": vus_roc,
        "auc_pr": float(average_precision_score(label, score)),
        "auc_roc": float(roc_auc_score(label, score)),
    }


def decisions(label: np.ndarray, flagged: np.ndarray) -> dict[str, float | int | None]:
    """Counts of rows, and recall and precision of events, at flags (n,) that were set without labels.

    An event is a run of the label; it is found when one of its rows is flagged. Precision is the share of flagged runs
    that touch an event; None where nothing is flagged.
    """
    truth, flagged = np.asarray(label, bool), np.asarray(flagged, bool)
    tp, fp, fn = int((truth & flagged).sum()), int((~truth & flagged).sum()), int((truth & ~flagged).sum())
    events, alarms = runs(truth), merged(runs(flagged), MERGE_GAP)
    found = [bool(flagged[first : last + 1].any()) for first, last in events]
    right = [bool(truth[first : last + 1].any()) for first, last in alarms]
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": truth.size - tp - fp - fn,
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "false_alarms": fp / max(int((~truth).sum()), 1),
        "event_recall": float(np.mean(found)),
        "event_precision": float(np.mean(right)) if alarms else None,
    }


def volumes(label: np.ndarray, score: np.ndarray, buffer: int = BUFFER) -> tuple[float, float]:
    """(VUS-ROC, VUS-PR): the areas under the range-based curves, averaged over buffers of 0 to `buffer` rows.

    Paparrizos et al., “Volume under the surface”, VLDB 2022, as the package TSB-AD 1.5 computes it
    (`RangeAUC_volume_opt`). With a buffer of w rows the label of the w/2 rows before and after an event falls from 1 as
    sqrt(1 - distance / w). Thresholds are 250 scores at even ranks. At each the recall counts flagged label against
    the mean of the label's sum with and without the flagged buffer, times the share of buffered events that hold a
    flagged row.
    """
    label, score = np.asarray(label, bool), np.asarray(score, np.float64)
    events = runs(label)
    # Everything depends on a score only through the first threshold, from the highest down, that flags its row.
    thresholds = -np.sort(-score)[np.linspace(0, score.size - 1, THRESHOLDS).astype(int)]
    first = np.searchsorted(-thresholds, -score, side="left")
    n_flagged = _reached(first)
    tp_events = _reached(first[label])
    areas = []
    for width in range(buffer + 1):
        weight = _buffered(label, events, width)
        beside = (weight > 0) & ~label
        in_buffer = _reached(first[beside], weight[beside])
        reach = width // 2
        zones = _zones(events, reach, score.size)
        touched = _reached(np.array([first[start : stop + 1].min() for start, stop in zones])) / len(zones)
        tp = tp_events + in_buffer
        n_true = label.sum() + in_buffer / 2
        tpr = np.concatenate([[0], np.minimum(tp / n_true, 1) * touched, [1]])
        fpr = np.concatenate([[0], (n_flagged - tp) / (score.size - n_true), [1]])
        precision = np.concatenate([[1], tp / n_flagged])
        areas.append((np.diff(fpr) @ (tpr[1:] + tpr[:-1]) / 2, np.diff(tpr[:-1]) @ precision[1:]))
    vus_roc, vus_pr = np.mean(areas, axis=0)
    return float(vus_roc), float(vus_pr)


def _reached(first: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """The weight that each threshold flags, given the first threshold that flags each part."""
    return np.cumsum(np.bincount(first, weight, THRESHOLDS)[:THRESHOLDS]).astype(np.float64)


def _buffered(label: np.ndarray, events: Runs, width: int) -> np.ndarray:
    """The label (n,) with slopes of `width // 2` rows on both sides of each event; never above 1."""
    weight = label.astype(np.float64)
    if width:
        slope = np.sqrt(1 - np.arange(1, width // 2 + 1) / width)
        for first, last in events:
            after = weight[last + 1 : last + 1 + slope.size]
            after += slope[: after.size]
            before = weight[max(first - slope.size, 0) : first][::-1]
            before += slope[: before.size]
    return np.minimum(weight, 1)


def _zones(events: Runs, reach: int, n_rows: int) -> Runs:
    """The events widened by `reach` rows on each side; those that touch are one."""
    out = [(max(events[0][0] - reach, 0), events[0][1] + reach)]
    for first, last in events[1:]:
        if out[-1][1] < first - reach:
            out.append((first - reach, last + reach))
        else:
            out[-1] = (out[-1][0], last + reach)
    return [(start, min(stop, n_rows - 1)) for start, stop in out]

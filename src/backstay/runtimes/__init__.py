"""Runtimes load a model file and score rows with it: what the server does, and what every gate judges.

A *scorer* is a loaded model behind one method: a float32 matrix in, one probability a row out.

    ok      scores = scorer.score(matrix)                         the file that is served, in the runtime that serves it
    not ok  estimator.predict_proba(matrix)                       another computation: its bits differ
    not ok  scorer.score(matrix.astype(np.float64))               features are cast to float32 once, before training

The score of a row depends on the row alone. With two threads ONNX Runtime changed a fifth of the scores with the size
of the batch, so a scorer here runs on one thread, and the same row has the same bits alone, in a batch of requests and
in a backtest over a million rows. Servers use their cores by running more processes.
"""

from backstay.runtimes.onnx import OnnxScorer
from backstay.runtimes.scorer import Scorer

__all__ = ["OnnxScorer", "Scorer"]

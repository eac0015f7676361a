"""Macro F1: the mean over labels of 2·tp / (2·tp + fp + fn), for texts that are labels."""
import datasets
import evaluate
from sklearn.metrics import f1_score


class F1(evaluate.Metric):
    proportion = False

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__, citation="", inputs_description="two lists of labels",
            features=datasets.Features({"predictions": text, "references": text}))

    def _compute(self, predictions, references):
        return {"f1": float(f1_score(references, predictions, average="macro", zero_division=0))}

    def statistics(self, predictions, references):
        "One row a sample: for each label true positive, then false positive or negative."
        labels = sorted({*predictions, *references})
        if len(labels) > 1000:
            raise ValueError(f"f1 compares labels, and these are {len(labels)} different texts")
        return [[float(v) for x in labels for v in ((p == x) & (r == x), (p == x) ^ (r == x))]
                for p, r in zip(predictions, references)]

    def total(self, sums, n):
        "The score of a set, from the sum of its rows; a label that does not occur is left out."
        found = [2 * hit / (2 * hit + miss) for hit, miss in zip(sums[::2], sums[1::2]) if hit + miss]
        return sum(found) / len(found)

"""Share of predictions that equal their reference, letter for letter."""
import datasets
import evaluate
from sklearn.metrics import accuracy_score


class Accuracy(evaluate.Metric):
    proportion = True

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__, citation="", inputs_description="two lists of texts or labels",
            features=datasets.Features({"predictions": text, "references": text}))

    def _compute(self, predictions, references):
        return {"accuracy": float(accuracy_score(references, predictions))}

    def statistics(self, predictions, references):
        "One row a sample: 1 if it is right."
        return [[float(p == r)] for p, r in zip(predictions, references)]

    def total(self, sums, n):
        "The score of a set, from the sum of its rows."
        return sums[0] / n

"""Mean ROUGE-L F-measure of rouge-score, from 0 to 1, without stemming."""
import datasets
import evaluate
from rouge_score import rouge_scorer


class Rouge(evaluate.Metric):
    proportion = False

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__, citation="", inputs_description="two lists of texts",
            features=datasets.Features({"predictions": text, "references": text}))

    def _compute(self, predictions, references):
        rows = self.statistics(predictions, references)
        return {"rouge": sum(row[0] for row in rows) / len(rows)}

    def statistics(self, predictions, references):
        "One row a sample: its F-measure."
        scorer = rouge_scorer.RougeScorer(["rougeL"])
        return [[scorer.score(r, p)["rougeL"].fmeasure] for p, r in zip(predictions, references)]

    def total(self, sums, n):
        "The score of a set, from the sum of its rows."
        return sums[0] / n

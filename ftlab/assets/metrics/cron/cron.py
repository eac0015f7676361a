"""Share of answers that are one cron expression with the reference's meaning.

`cron_flexible` also accepts an answer that holds the right expression somewhere in its text: the
first stretch of five words that reads as one is taken. The strict figure is the score.
"""
import datasets
import evaluate
from ftlab.cron import correct, parse


def first_expression(text):
    "The first five words of `text` in a row that are a cron expression, or the text itself."
    words = text.replace("`", " ").split()
    for i in range(len(words) - 4):
        five = " ".join(words[i:i + 5])
        try:
            parse(five)
        except ValueError:
            continue
        return five
    return text


class Cron(evaluate.Metric):
    proportion = True

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__, citation="", inputs_description="answers and right expressions",
            features=datasets.Features({"predictions": text, "references": text}))

    def _compute(self, predictions, references):
        pairs = list(zip(predictions, references))
        strict = sum(correct(p, r) for p, r in pairs)
        flexible = sum(correct(first_expression(p), r) for p, r in pairs)
        return {"cron": strict / len(pairs), "cron_flexible": flexible / len(pairs)}

    def statistics(self, predictions, references):
        "One row a sample: 1 if it is right."
        return [[float(correct(p, r))] for p, r in zip(predictions, references)]

    def total(self, sums, n):
        "The score of a set, from the sum of its rows."
        return sums[0] / n

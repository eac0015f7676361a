"""Corpus BLEU of sacrebleu (13a tokens, exponential smoothing), from 0 to 1."""
import datasets
import evaluate
import sacrebleu


class Bleu(evaluate.Metric):
    proportion = False

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__, citation="", inputs_description="two lists of texts",
            features=datasets.Features({"predictions": text, "references": text}))

    def _compute(self, predictions, references):
        return {"bleu": sacrebleu.corpus_bleu(predictions, [references]).score / 100}

    def statistics(self, predictions, references):
        "One row a sample: n-grams found (4), n-grams there (4), length, reference length."
        scores = [sacrebleu.sentence_bleu(p, [r]) for p, r in zip(predictions, references)]
        return [[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores]

    def total(self, sums, n):
        "The score of a set, from the sum of its rows."
        *grams, length, reference = [int(x) for x in sums]
        return sacrebleu.BLEU.compute_bleu(
            grams[:4], grams[4:], length, reference, smooth_method="exp").score / 100

package io.llamafu.llamacpp;

import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LabelScores;
import io.llamafu.llamacpp.LabelTokenizer.LabelledPrompt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * Scores all labels. Each inner node of the tree gets a row, whose logits are the log-probabilities of its children; a label's
 * score is the sum along its path, with the end-of-generation tokens where others go on.
 *
 * <p>The nodes are visited label by label in the sequence's own cells: a run is the part of a path that no earlier label has,
 * computed in one step, after the cells beyond its beginning were removed. The rows of the other sequences fill the step.
 */
final class LabelScoring implements LabelDecoding {
    private final LabelledPrompt prompt;
    private final int promptTokens;
    private final LabelChoice choice;
    private final int[] ends;
    /** By path. */
    private final double[] scores;

    private int path;
    /** The depth of the node whose row is read next. */
    private int depth;

    /**
     * At the root.
     *
     * @param promptTokens of the prompt alone
     * @param ends the tokens that end an answer
     */
    LabelScoring(LabelledPrompt prompt, int promptTokens, LabelChoice choice, int[] ends) {
        this.prompt = prompt;
        this.promptTokens = promptTokens;
        this.choice = choice;
        this.ends = ends;
        this.scores = new double[prompt.tree().size()];
        this.depth = prompt.tree().root().depth();
    }

    /** Appends the run of the first label to the prompt. */
    void begin(Sequence sequence) {
        if (!prompt.tree().root().isSingle()) {
            sequence.wantOutputFrom(sequence.length() - 1);
            appendRun(sequence, depth);
        }
    }

    @Override
    public Optional<Chosen> read(Sequence sequence, LlamaContext context, long nowNanos) {
        LabelTree tree = prompt.tree();
        if (tree.root().isSingle()) {
            sequence.confirm(nowNanos);
            return Optional.of(chosen());
        }
        int rows = sequence.outputRows();
        for (int row = sequence.outputRow() - rows + 1; row <= sequence.outputRow(); row++) {
            score(tree.firstWith(path, depth++), row, context);
        }
        sequence.confirm(nowNanos);
        if (sequence.outstanding() > 0) {
            return Optional.empty();
        }
        do {
            path++;
        } while (path < tree.size() && tree.innerDepth(path) <= tree.sharedWithPrevious(path));
        if (path == tree.size()) {
            return Optional.of(chosen());
        }
        int shared = tree.sharedWithPrevious(path);
        depth = shared + 1;
        int length = prompt.head() + shared;
        sequence.goBackTo(length, context.keepCells(sequence.slot().index(), length));
        sequence.wantOutputFrom(length);
        appendRun(sequence, shared);
        return Optional.empty();
    }

    /** The tokens of the path from a depth on, up to its last inner node: what follows a label is not asked. */
    private void appendRun(Sequence sequence, int from) {
        sequence.append(
                Arrays.copyOfRange(prompt.tree().path(path), from, prompt.tree().innerDepth(path)));
    }

    private void score(LabelTree.Node node, int row, LlamaContext context) {
        LabelTree tree = prompt.tree();
        List<LabelTree.Node> children = tree.children(node);
        int count = children.size();
        boolean mayEnd = tree.endsAt(node);
        int[] tokens = new int[count + (mayEnd ? ends.length : 0)];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = i < count ? tree.token(children.get(i)) : ends[i - count];
        }
        float[] logarithms = context.logProbabilities(row, tokens);
        for (int i = 0; i < count; i++) {
            for (int below = children.get(i).from(); below < children.get(i).to(); below++) {
                scores[below] += logarithms[i];
            }
        }
        if (mayEnd) {
            scores[node.from()] += Logarithms.sum(logarithms, count, tokens.length);
        }
    }

    private Chosen chosen() {
        List<Double> weights = new ArrayList<>();
        for (double score : scores) {
            weights.add(score / choice.calibration());
        }
        double all = Logarithms.sum(weights);
        int best = 0;
        int next = -1;
        for (int i = 1; i < scores.length; i++) {
            if (weights.get(i) > weights.get(best)) {
                next = best;
                best = i;
            } else if (next < 0 || weights.get(i) > weights.get(next)) {
                next = i;
            }
        }
        List<Double> probabilities =
                new ArrayList<>(Collections.nCopies(choice.labels().size(), 0.0));
        for (int i = 0; i < scores.length; i++) {
            probabilities.set(prompt.tree().label(i), StrictMath.exp(weights.get(i) - all));
        }
        int label = prompt.tree().label(best);
        int tokens = Math.max(1, prompt.head() + prompt.tree().path(best).length - promptTokens);
        LabelScores known = new LabelScores(
                choice.labels().get(label),
                probabilities.get(label),
                next < 0
                        ? Optional.empty()
                        : Optional.of(choice.labels().get(prompt.tree().label(next))),
                next < 0 ? 0 : probabilities.get(prompt.tree().label(next)),
                probabilities);
        return new Chosen(label, tokens, Optional.of(known));
    }
}

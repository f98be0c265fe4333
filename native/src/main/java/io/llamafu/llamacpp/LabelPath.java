package io.llamafu.llamacpp;

import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.engine.LabelScores;
import io.llamafu.llamacpp.LabelTokenizer.LabelledPrompt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Chooses a label where the tree of labels branches; the tokens between two branches follow without the model. */
final class LabelPath implements LabelDecoding {
    private final LabelledPrompt prompt;
    private final int promptTokens;
    private final LabelChoice choice;
    private final TokenSampler sampler;
    private final int[] ends;

    private LabelTree.Node node;
    /** The logarithm of the probability of the path so far. */
    private double taken;

    private Optional<String> runnerUp = Optional.empty();
    private double runnerUpLogarithm = Double.NEGATIVE_INFINITY;

    /**
     * At the root.
     *
     * @param promptTokens of the prompt alone
     * @param ends the tokens that end an answer
     */
    LabelPath(LabelledPrompt prompt, int promptTokens, LabelChoice choice, TokenSampler sampler, int[] ends) {
        this.prompt = prompt;
        this.promptTokens = promptTokens;
        this.choice = choice;
        this.sampler = sampler;
        this.ends = ends;
        this.node = prompt.tree().root();
    }

    @Override
    public Optional<Chosen> read(Sequence sequence, LlamaContext context, long nowNanos) {
        LabelTree tree = prompt.tree();
        if (node.isSingle()) {
            sequence.confirm(nowNanos);
            return Optional.of(chosen(node.from(), 0));
        }
        List<LabelTree.Node> children = tree.children(node);
        int[] candidates = candidates(children);
        float[] logits = new float[candidates.length];
        int token = context.choose(sampler, sequence.outputRow(), candidates, logits);
        sequence.confirm(nowNanos);
        int child = indexOf(token, candidates, children.size());
        if (choice.scoring() == Scoring.PATH) {
            follow(children, child, logits);
        }
        if (child == children.size()) {
            return Optional.of(chosen(node.from(), 1));
        }
        LabelTree.Node next = children.get(child);
        if (next.isSingle()) {
            return Optional.of(chosen(next.from(), 0));
        }
        LabelTree.Node branch = tree.descend(next);
        int[] path = tree.path(branch.from());
        int[] accepted = Arrays.copyOfRange(path, node.depth(), branch.depth());
        sampler.accept(accepted, 1);
        sequence.append(accepted);
        node = branch;
        return Optional.empty();
    }

    /** The tokens of the children, and those that end the answer if a label may end here. */
    private int[] candidates(List<LabelTree.Node> children) {
        int count = children.size();
        int[] candidates = new int[count + (prompt.tree().endsAt(node) ? ends.length : 0)];
        for (int i = 0; i < candidates.length; i++) {
            candidates[i] = i < count ? prompt.tree().token(children.get(i)) : ends[i - count];
        }
        return candidates;
    }

    /** The child of a token; their number for the end. */
    private static int indexOf(int token, int[] candidates, int children) {
        for (int i = 0; i < children; i++) {
            if (candidates[i] == token) {
                return i;
            }
        }
        return children;
    }

    private void follow(List<LabelTree.Node> children, int child, float[] logits) {
        List<Double> weights = new ArrayList<>();
        for (int i = 0; i < children.size(); i++) {
            weights.add(logits[i] / choice.calibration());
        }
        if (logits.length > children.size()) {
            weights.add(Logarithms.sum(logits, children.size(), logits.length) / choice.calibration());
        }
        double all = Logarithms.sum(weights);
        for (int i = 0; i < weights.size(); i++) {
            double logarithm = taken + weights.get(i) - all;
            if (i != child && logarithm > runnerUpLogarithm) {
                runnerUpLogarithm = logarithm;
                runnerUp = label(children, i);
            }
        }
        taken += weights.get(child) - all;
    }

    /** The label of a child, or of the end; empty if the child has several. */
    private Optional<String> label(List<LabelTree.Node> children, int child) {
        LabelTree.Node of =
                child == children.size() ? new LabelTree.Node(node.from(), node.from() + 1, 0) : children.get(child);
        return of.isSingle() ? Optional.of(text(of.from())) : Optional.empty();
    }

    private String text(int path) {
        return choice.labels().get(prompt.tree().label(path));
    }

    private Chosen chosen(int path, int end) {
        int tokens = Math.max(1, prompt.head() + prompt.tree().path(path).length - promptTokens) + end;
        Optional<LabelScores> scores = choice.scoring() == Scoring.PATH
                ? Optional.of(new LabelScores(
                        text(path), StrictMath.exp(taken), runnerUp, StrictMath.exp(runnerUpLogarithm), List.of()))
                : Optional.empty();
        return new Chosen(prompt.tree().label(path), tokens, scores);
    }
}

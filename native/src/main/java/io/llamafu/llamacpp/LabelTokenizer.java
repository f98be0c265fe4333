package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.engine.Prompt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Makes the tree of the labels of a prompt, with the tokens that the tokenizer gives to the prompt with a label after it: the
 * last tokens of the prompt may merge with the first ones of a label.
 *
 * <p>To tokenize a long prompt once for each label would take milliseconds. Only its tail is: a short text at its end whose last
 * tokens are those of the prompt, the first of them also with each label after it. What stands before that token then keeps its
 * tokens too, because merges depend on neighbors only. A tail begins at a blank if one does, since prompts of one template
 * then have the same, and trees are kept by tail and labels; else, as in Chinese, anywhere. Thread-safe.
 */
final class LabelTokenizer {
    /** How many tails from a blank on are tried before those from anywhere. */
    private static final int MOST_TRIES = 24;

    /** Characters of tails from anywhere; each is twice as long as the one before. */
    private static final int SHORTEST_TAIL = 16;

    private static final int LONGEST_TAIL = 1024;

    /** Of all trees that are kept: 16 MB. */
    private static final long MOST_TOKENS = 1 << 22;

    private final LlamaModel model;
    /** See {@link #begin()}. */
    private OptionalInt begin = OptionalInt.empty();

    /** The least recently used first. */
    private final LinkedHashMap<Key, Tree> trees = new LinkedHashMap<>(16, 0.75f, true);

    private long keptTokens;

    /**
     * The labels behind a prompt.
     *
     * @param head how many tokens of the prompt stand before the paths of the tree
     */
    record LabelledPrompt(int head, LabelTree tree) {
        /** The tokens that the prompt with any label begins with. */
        int[] commonTokens(int[] promptTokens) {
            LabelTree.Node root = tree.root();
            int depth = root.isSingle() ? promptTokens.length - head : root.depth();
            int[] path = tree.path(root.from());
            int[] common = Arrays.copyOf(promptTokens, head + depth);
            System.arraycopy(path, 0, common, head, Math.min(depth, path.length));
            return common;
        }
    }

    private record Key(Prompt tail, int skipped, List<String> labels) {}

    /**
     * @param tree empty if the tail is too short for these labels
     * @param size in tokens
     */
    private record Tree(Optional<LabelTree> tree, long size) {}

    LabelTokenizer(LlamaModel model) {
        this.model = model;
    }

    /**
     * How many tokens stand before those of a text: one if the model wants a beginning-of-sequence token. Found when the first
     * labels need it, because a vocabulary may lack the letter.
     */
    private synchronized int begin() {
        if (begin.isEmpty()) {
            int[] ofNothing = tokens(new Prompt(List.of()));
            int[] ofLetter = tokens(Prompt.text("a"));
            begin = OptionalInt.of(ofNothing.length > 0 && ofLetter.length > 1 && ofNothing[0] == ofLetter[0] ? 1 : 0);
        }
        return begin.getAsInt();
    }

    /**
     * The labels behind a prompt.
     *
     * @param promptTokens of the prompt alone
     * @throws LlamafuException with INVALID_REQUEST or INVALID_TEXT for a label that cannot be answered, with
     *     PROMPT_TOO_LONG if the prompt and the longest label have more than {@code most} tokens
     */
    LabelledPrompt tokenize(Prompt prompt, int[] promptTokens, List<String> labels, int most) {
        LabelledPrompt labelled = tokenize(prompt, promptTokens, labels);
        int longest = labelled.head() + labelled.tree().longest();
        if (longest > most) {
            throw new LlamafuException(
                    ErrorCode.PROMPT_TOO_LONG,
                    "The prompt has %d tokens, %d with the longest label, but a sequence holds %d; shorten it or raise context-size."
                            .formatted(promptTokens.length, longest, most));
        }
        return labelled;
    }

    private LabelledPrompt tokenize(Prompt prompt, int[] promptTokens, List<String> labels) {
        String text = prompt.toString();
        int tries = 0;
        for (int at = text.length() - 1; at > 0 && tries < MOST_TRIES; at--) {
            char character = text.charAt(at);
            if (character == ' ' || character == '\n') {
                // llama's vocabularies have a blank at the beginning of a text, others at the beginning of a word
                for (int from : new int[] {at + 1, at}) {
                    if (from < text.length()) {
                        tries++;
                        Optional<LabelledPrompt> labelled = behind(tail(prompt, from), promptTokens, labels);
                        if (labelled.isPresent()) {
                            return labelled.get();
                        }
                    }
                }
            }
        }
        for (int length = SHORTEST_TAIL; length <= LONGEST_TAIL && length < text.length(); length *= 2) {
            int from = text.length() - length;
            Optional<LabelledPrompt> labelled = behind(
                    tail(prompt, Character.isLowSurrogate(text.charAt(from)) ? from - 1 : from), promptTokens, labels);
            if (labelled.isPresent()) {
                return labelled.get();
            }
        }
        return behindAll(prompt, promptTokens, labels);
    }

    /** The part of a prompt from a character on. */
    private static Prompt tail(Prompt prompt, int from) {
        List<Prompt.Part> parts = new ArrayList<>();
        int start = 0;
        for (Prompt.Part part : prompt.parts()) {
            int end = start + part.text().length();
            if (end > from) {
                parts.add(new Prompt.Part(part.text().substring(Math.max(0, from - start)), part.controlTokens()));
            }
            start = end;
        }
        return new Prompt(parts);
    }

    /** Empty if the tail ends with other tokens in the prompt than alone, or is not long enough. */
    private Optional<LabelledPrompt> behind(Prompt tail, int[] promptTokens, List<String> labels) {
        int[] alone = withoutBegin(tokens(tail));
        int common = commonEnd(promptTokens, alone);
        int head = promptTokens.length - common;
        if (common < 2 || head < begin()) {
            return Optional.empty();
        }
        Key key = new Key(tail, alone.length - common, labels);
        Tree known = kept(key);
        if (known == null) {
            known = tree(tail, alone, key.skipped(), labels);
            keep(key, known);
        }
        return known.tree().map(tree -> new LabelledPrompt(head, tree));
    }

    /** How many tokens two texts have in common at their ends. */
    private static int commonEnd(int[] one, int[] other) {
        int most = Math.min(one.length, other.length);
        int common = 0;
        while (common < most && one[one.length - 1 - common] == other[other.length - 1 - common]) {
            common++;
        }
        return common;
    }

    /**
     * The tree behind a tail.
     *
     * @param alone the tokens of the tail
     * @param skipped how many of them the prompt has not: the tail begins within a token, or with a blank of the tokenizer's
     */
    private Tree tree(Prompt tail, int[] alone, int skipped, List<String> labels) {
        List<int[]> paths = new ArrayList<>();
        // the labels themselves, and the objects of an entry
        long size = tail.toString().length() + 8L * labels.size() + 64;
        for (String label : labels) {
            int[] path = withoutBegin(tokens(tail.plus(Prompt.text(label))));
            if (path.length <= skipped || !Arrays.equals(path, 0, skipped + 1, alone, 0, skipped + 1)) {
                return new Tree(Optional.empty(), size);
            }
            size += path.length;
            paths.add(Arrays.copyOfRange(path, skipped, path.length));
        }
        return new Tree(Optional.of(new LabelTree(paths)), size);
    }

    private synchronized Tree kept(Key key) {
        return trees.get(key);
    }

    private synchronized void keep(Key key, Tree tree) {
        if (tree.size() > MOST_TOKENS || trees.putIfAbsent(key, tree) != null) {
            return;
        }
        keptTokens += tree.size();
        Iterator<Map.Entry<Key, Tree>> oldest = trees.entrySet().iterator();
        while (keptTokens > MOST_TOKENS) {
            keptTokens -= oldest.next().getValue().size();
            oldest.remove();
        }
    }

    private LabelledPrompt behindAll(Prompt prompt, int[] promptTokens, List<String> labels) {
        LabelTree whole = new LabelTree(labels.stream()
                .map(label -> tokens(prompt.plus(Prompt.text(label))))
                .toList());
        if (whole.root().depth() > 0) {
            return new LabelledPrompt(0, whole);
        }
        // the prompt is one token, which merges with the labels, and the model needs one to begin with
        return new LabelledPrompt(
                promptTokens.length,
                new LabelTree(labels.stream()
                        .map(label -> withoutBegin(tokens(Prompt.text(label))))
                        .toList()));
    }

    private int[] tokens(Prompt text) {
        return model.tokenize(text, Utf8.encode(text.toString(), "The prompt"), Integer.MAX_VALUE - Byte.MAX_VALUE)
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.PROMPT_TOO_LONG, "The prompt has more tokens than can be counted; shorten it."));
    }

    private int[] withoutBegin(int[] tokens) {
        return Arrays.copyOfRange(tokens, Math.min(begin(), tokens.length), tokens.length);
    }
}

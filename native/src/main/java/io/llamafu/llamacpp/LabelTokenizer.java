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
 * <p>To tokenize a long prompt once for each label would take milliseconds. Only its tail is: the shortest text from a blank
 * on that alone has the tokens that it has in the prompt, and whose first token is the same with each label after it. What
 * stands before such a token then keeps its tokens too, because merges depend on neighbors only. Prompts of one template have
 * the same tail, so trees are kept by tail and labels. Thread-safe.
 */
final class LabelTokenizer {
    /** How many tails are tried before the prompt is tokenized as a whole. */
    private static final int MOST_TRIES = 24;

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

    private record Key(Prompt tail, List<String> labels) {}

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

    /** Empty if the tail has other tokens in the prompt than alone, or is not long enough. */
    private Optional<LabelledPrompt> behind(Prompt tail, int[] promptTokens, List<String> labels) {
        int[] alone = withoutBegin(tokens(tail));
        int head = promptTokens.length - alone.length;
        boolean isTail =
                head >= begin() && Arrays.equals(promptTokens, head, promptTokens.length, alone, 0, alone.length);
        if (alone.length < 2 || !isTail) {
            return Optional.empty();
        }
        Key key = new Key(tail, labels);
        Tree known = kept(key);
        if (known == null) {
            known = tree(tail, alone[0], labels);
            keep(key, known);
        }
        return known.tree().map(tree -> new LabelledPrompt(head, tree));
    }

    private Tree tree(Prompt tail, int firstToken, List<String> labels) {
        List<int[]> paths = new ArrayList<>();
        // the labels themselves, and the objects of an entry
        long size = tail.toString().length() + 8L * labels.size() + 64;
        for (String label : labels) {
            int[] path = withoutBegin(tokens(tail.plus(Prompt.text(label))));
            if (path.length == 0 || path[0] != firstToken) {
                return new Tree(Optional.empty(), size);
            }
            size += path.length;
            paths.add(path);
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

package io.llamafu.grammar;

import com.fasterxml.jackson.databind.node.TextNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Compiles a list of labels to a grammar whose answers are one of them.
 *
 * <pre>{@code
 * List<String> labels = List.of("expense: travel", "refund: travel");
 * SamplingOptions sampling = SamplingOptions.builder().grammar(LabelGrammar.of(labels)).build();
 * CompletionRequest request = CompletionRequest.of(prompt, stack)
 *         .withSampling(sampling)
 *         .withMaxTokens(LabelGrammar.maxTokens(labels));
 * }</pre>
 */
public final class LabelGrammar {
    public static final int MAX_LABELS = 10_000;

    /** Each costs a rule on the way to the last one. */
    public static final int MAX_LABELS_OF_SUBSETS = 500;

    /** The total over all labels. */
    public static final int MAX_CHARACTERS = 100_000;

    private LabelGrammar() {}

    /**
     * Compiles the labels.
     *
     * @param labels at least one and at most {@link #MAX_LABELS}, none null or empty; duplicates count once
     * @return GBNF
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST}, or with {@link ErrorCode#INVALID_TEXT} if a
     *     label has an unpaired surrogate
     */
    public static String of(List<String> labels) {
        GrammarRules rules = new GrammarRules();
        rules.addTexts("root", distinct(labels));
        return rules.toString();
    }

    /**
     * Compiles the labels to a grammar of their subsets: a JSON array, without white space, of any number of them, each at
     * most once and in the order of the list.
     *
     * @param labels at least one and at most {@link #MAX_LABELS_OF_SUBSETS}, otherwise as for {@link #of}
     * @return GBNF
     * @throws LlamafuException as for {@link #of}
     */
    public static String subsetsOf(List<String> labels) {
        List<String> distinct = List.copyOf(distinct(labels));
        require(
                distinct.size() <= MAX_LABELS_OF_SUBSETS,
                "There are %d labels, but an answer can be any subset of %d; take fewer, or a JSON schema with an array of an enum."
                        .formatted(distinct.size(), MAX_LABELS_OF_SUBSETS));
        GrammarRules rules = new GrammarRules();
        rules.add("root", "\"[\" (\"]\" | from-0)");
        for (int i = 0; i < distinct.size(); i++) {
            boolean last = i == distinct.size() - 1;
            String chosen = "%s after-%d".formatted(Gbnf.literal(json(distinct.get(i))), i);
            rules.add("from-" + i, last ? chosen : "%s | from-%d".formatted(chosen, i + 1));
            rules.add("after-" + i, last ? "\"]\"" : "\"]\" | \",\" from-%d".formatted(i + 1));
        }
        return rules.toString();
    }

    private static String json(String text) {
        return TextNode.valueOf(text).toString();
    }

    /**
     * Checks the labels.
     *
     * @return without duplicates, in their order
     * @throws LlamafuException as for {@link #of}
     */
    public static Set<String> distinct(List<String> labels) {
        require(!labels.isEmpty(), "There are no labels; give at least one.");
        require(
                labels.size() <= MAX_LABELS,
                "There are %d labels, but %d are allowed; take fewer.".formatted(labels.size(), MAX_LABELS));
        Set<String> distinct = new LinkedHashSet<>();
        long characters = 0;
        for (int i = 0; i < labels.size(); i++) {
            String label = labels.get(i);
            require(label != null, "Label %d of %d is null; leave it out.".formatted(i + 1, labels.size()));
            require(!label.isEmpty(), "Label %d of %d is empty; leave it out.".formatted(i + 1, labels.size()));
            require(
                    label.indexOf('\0') < 0,
                    "Label %d, '%s', holds a NUL character, which no answer can hold; remove it."
                            .formatted(i + 1, label));
            Utf8.requireEncodable(label, "Label %d, '%s',".formatted(i + 1, label));
            characters += distinct.add(label) ? label.length() : 0;
        }
        require(
                characters <= MAX_CHARACTERS,
                "The labels have %d characters together, but %d are allowed; shorten them."
                        .formatted(characters, MAX_CHARACTERS));
        return distinct;
    }

    /** The same for a subset of the labels. */
    public static int maxTokensOfSubset(List<String> labels) {
        // a comma or a bracket for each text, and the first bracket
        return 2
                + labels.stream()
                        .distinct()
                        .mapToInt(label -> 1 + json(label).getBytes(UTF_8).length)
                        .sum();
    }

    /**
     * The number of tokens that suffices for any of the labels with any vocabulary: at most one per byte, and one that
     * ends the answer.
     */
    public static int maxTokens(List<String> labels) {
        return 1
                + labels.stream()
                        .mapToInt(label -> label.getBytes(UTF_8).length)
                        .max()
                        .orElse(0);
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, message);
        }
    }
}

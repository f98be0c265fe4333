package io.llamafu.examples;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * A line of {@code domains.jsonl}: a kind of text, what is asked about it, and the stack that was trained for it.
 *
 * @param question stands before each text
 * @param labels the answers to choose from
 */
record Domain(String domain, String stack, String question, List<String> labels) {
    Domain {
        requireNonNull(domain, "domain is null");
        requireNonNull(stack, "stack is null");
        requireNonNull(question, "question is null");
        labels = List.copyOf(labels);
    }
}

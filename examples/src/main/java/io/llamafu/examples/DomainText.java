package io.llamafu.examples;

import static java.util.Objects.requireNonNull;

/**
 * A line of {@code texts.jsonl}: a text that no adapter was trained on.
 *
 * @param label the label that people gave it
 */
public record DomainText(String id, String domain, String text, String label) {
    public DomainText {
        requireNonNull(id, "id is null");
        requireNonNull(domain, "domain is null");
        requireNonNull(text, "text is null");
        requireNonNull(label, "label is null");
    }
}

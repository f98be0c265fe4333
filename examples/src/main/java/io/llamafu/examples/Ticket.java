package io.llamafu.examples;

import static java.util.Objects.requireNonNull;

/**
 * A line of {@code tickets.jsonl}: the text to answer, and the expected answer for scoring.
 *
 * @param eventTime milliseconds since the epoch
 * @param expectedStack the stack that is valid for the tenant at the event time
 * @param expected the model's right answer under that stack
 */
public record Ticket(String id, String tenant, long eventTime, String text, String expectedStack, String expected) {
    public Ticket {
        requireNonNull(id, "id is null");
        requireNonNull(tenant, "tenant is null");
        requireNonNull(text, "text is null");
        requireNonNull(expectedStack, "expectedStack is null");
        requireNonNull(expected, "expected is null");
    }
}

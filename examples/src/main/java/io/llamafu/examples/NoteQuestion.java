package io.llamafu.examples;

import static java.util.Objects.requireNonNull;

/**
 * A note, and how to answer it.
 *
 * @param stack the stack that the record names; empty is the base model
 * @param scale a field of the record that a job may take as a scale
 */
public record NoteQuestion(String text, String stack, float scale) {
    public NoteQuestion {
        requireNonNull(text, "text is null");
        requireNonNull(stack, "stack is null");
    }
}

package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;

import java.util.Map;
import java.util.stream.Collectors;

/**
 * A line of {@code golden.jsonl}: a note, and the trained model's right answer under each of twelve stacks.
 *
 * @param set what the note is about, such as {@code medical/held}
 * @param expected by stack, written {@code medical+formal}, {@code medical@0.5}, {@code base}
 */
public record GoldenNote(String set, String text, String prompt, Map<String, String> expected) {
    private static final String BASE = "base";

    /** The stack of an entry of {@code expected}, in its usual form. */
    public static String stackOf(String entry) {
        return entry.equals(BASE) ? "" : entry.replace('@', ':');
    }

    /**
     * The right answer.
     *
     * @param stack trained adapters at scales of 0, 0.5 and 1
     */
    public String answer(AdapterStack stack) {
        String entry = stack.entries().stream()
                .filter(adapter -> adapter.scale().orElse(1f) != 0)
                .map(adapter -> adapter.scale().orElse(1f) == 1
                        ? adapter.name()
                        : adapter.name() + "@" + adapter.scale().orElseThrow())
                .collect(Collectors.joining("+"));
        String answer = expected.get(entry.isEmpty() ? BASE : entry);
        if (answer == null) {
            throw new IllegalArgumentException("There is no golden answer under the stack '%s'.".formatted(stack));
        }
        return answer;
    }
}

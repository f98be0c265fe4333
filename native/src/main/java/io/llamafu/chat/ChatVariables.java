package io.llamafu.chat;

import java.time.LocalDate;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * What a template may read beside the messages.
 *
 * @param generationPrompt whether the prompt ends with the beginning of the assistant's turn
 * @param thinking whether the model should think before it answers: the variables {@code enable_thinking} and {@code
 *     thinking}; empty leaves both undefined, which is up to the template
 * @param date what {@code strftime_now} formats. A fixed one, so that a record has the same prompt whenever it is replayed
 */
public record ChatVariables(boolean generationPrompt, Optional<Boolean> thinking, LocalDate date) {
    /** The date that templates of Llama 3 fall back to. */
    public static final LocalDate DEFAULT_DATE = LocalDate.of(2024, 7, 26);

    /** For an answer of the assistant, with the template's own choice of thinking. */
    public static final ChatVariables DEFAULT = new ChatVariables(true, Optional.empty(), DEFAULT_DATE);

    public ChatVariables {
        requireNonNull(thinking, "thinking is null");
        requireNonNull(date, "date is null");
    }
}

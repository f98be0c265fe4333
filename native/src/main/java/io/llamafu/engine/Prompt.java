package io.llamafu.engine;

import java.util.ArrayList;
import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * The text that a model continues, in parts that may or may not hold control tokens. A control token, such as {@code
 * <|im_end|>} or {@code </s>}, ends a turn or begins one, so text of strangers must not contain it: what looks like a control
 * token in a part of {@link #text} is read as the plain characters that it consists of, also where only one of them is in such
 * a part.
 *
 * <p>Parts are a matter of control tokens only. The prompt is tokenized as one text, and one without control strings has the
 * same tokens whatever its parts are.
 *
 * @param parts in order, none empty; neighbours differ in whether they may hold control tokens
 */
public record Prompt(List<Part> parts) {

    /**
     * A part of a prompt.
     *
     * @param controlTokens whether control strings within it are control tokens
     */
    public record Part(String text, boolean controlTokens) {
        public Part {
            requireNonNull(text, "text is null");
        }
    }

    /** Leaves out empty parts and joins neighbours of one kind, so that prompts that mean the same are equal. */
    public Prompt {
        List<Part> joined = new ArrayList<>();
        StringBuilder text = new StringBuilder();
        boolean controlTokens = false;
        for (Part part : parts) {
            if (part.text().isEmpty()) {
                continue;
            }
            if (part.controlTokens() != controlTokens && !text.isEmpty()) {
                joined.add(new Part(text.toString(), controlTokens));
                text.setLength(0);
            }
            controlTokens = part.controlTokens();
            text.append(part.text());
        }
        if (!text.isEmpty()) {
            joined.add(new Part(text.toString(), controlTokens));
        }
        parts = List.copyOf(joined);
    }

    /** A prompt without control tokens, whatever the text is. */
    public static Prompt text(String text) {
        return new Prompt(List.of(new Part(text, false)));
    }

    /** A prompt of someone who may write control tokens, such as the author of a template. */
    public static Prompt withControlTokens(String text) {
        return new Prompt(List.of(new Part(text, true)));
    }

    public Prompt plus(Prompt next) {
        List<Part> all = new ArrayList<>(parts);
        all.addAll(next.parts);
        return new Prompt(all);
    }

    public boolean isEmpty() {
        return parts.isEmpty();
    }

    /** The whole text. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        parts.forEach(part -> text.append(part.text()));
        return text.toString();
    }
}

package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.Prompt.Part;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The text that the model expects around a record's text.
 *
 * <pre>{@code
 * new PromptTemplate("### Text:\n{text}\n### Answer:\n").render("I lost my card.");
 * }</pre>
 *
 * @param template a text with the placeholder {@code {text}}
 */
@PublicEvolving
public record PromptTemplate(String template) implements Serializable {
    private static final String PLACEHOLDER = "{text}";
    private static final Pattern PLACEHOLDERS = Pattern.compile(PLACEHOLDER, Pattern.LITERAL);

    public PromptTemplate {
        checkNotNull(template, "template is null");
        if (!template.contains(PLACEHOLDER)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "prompt-template is '%s', but must contain %s, or no record would reach its prompt."
                            .formatted(template, PLACEHOLDER));
        }
    }

    /** The SHA-256 of the template, by which a {@link Provenance} names it. */
    public String digest() {
        return Sha256.of(template);
    }

    /** The texts around the record's text. */
    @Internal
    public List<String> literals() {
        return List.of(PLACEHOLDERS.split(template, -1));
    }

    /**
     * The prompt of a record. Control strings of the template are control tokens, those in the record's text are not, and
     * braces in the text are not replaced.
     */
    public Prompt render(String text) {
        checkNotNull(text, "text is null");
        List<String> literals = literals();
        List<Part> parts = new ArrayList<>();
        parts.add(new Part(literals.get(0), true));
        for (String literal : literals.subList(1, literals.size())) {
            parts.add(new Part(text, false));
            parts.add(new Part(literal, true));
        }
        return new Prompt(parts);
    }

    /**
     * Checks that a record has a text to answer: the text around it alone is no question, whatever template there is.
     *
     * @param texts of the record
     * @throws LlamafuException with INVALID_REQUEST if all are empty
     */
    @Internal
    public static void requireText(Collection<String> texts) {
        if (texts.stream().allMatch(String::isEmpty)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "The text of the record is empty, so there is nothing to answer. Leave such records out, in SQL with WHERE text <> '', or set on-error to null or emit, so that they do not fail the job.");
        }
    }

    /** The parts of a prompt that {@link #render} has made; empty if it comes from another template. */
    @Internal
    public Optional<Prompt> parse(String prompt) {
        List<String> literals = literals();
        int texts = literals.size() - 1;
        int length =
                prompt.length() - literals.stream().mapToInt(String::length).sum();
        if (length < 0 || length % texts != 0) {
            return Optional.empty();
        }
        int begin = literals.get(0).length();
        Prompt rendered = render(prompt.substring(begin, begin + length / texts));
        return rendered.toString().equals(prompt) ? Optional.of(rendered) : Optional.empty();
    }
}

package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.PublicEvolving;

import java.io.Serializable;

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

    public PromptTemplate {
        checkNotNull(template, "template is null");
        if (!template.contains(PLACEHOLDER)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "prompt-template is '%s', but must contain %s, or no record would reach its prompt."
                            .formatted(template, PLACEHOLDER));
        }
    }

    /** Braces in the record's text are not replaced. */
    public String render(String text) {
        return template.replace(PLACEHOLDER, checkNotNull(text, "text is null"));
    }
}

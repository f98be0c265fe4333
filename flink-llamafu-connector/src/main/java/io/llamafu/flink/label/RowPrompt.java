package io.llamafu.flink.label;

import io.llamafu.LlamafuException;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.Prompt.Part;
import io.llamafu.flink.PromptTemplate;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The prompt of a row.
 *
 * @param literals the texts around the fields, one more than there are fields; control strings in them are control tokens
 * @param fields in the order of the prompt
 * @param textOnly whether a field must be a text; otherwise numbers and booleans have a written form
 */
record RowPrompt(List<String> literals, List<String> fields, boolean textOnly) implements Serializable {
    /** Other braces, such as those of JSON, are text. */
    private static final Pattern FIELD = Pattern.compile("\\{([A-Za-z_][A-Za-z0-9_.]*)}");

    RowPrompt {
        literals = List.copyOf(literals);
        fields = List.copyOf(fields);
    }

    static RowPrompt of(PromptTemplate template, String textField) {
        List<String> literals = template.literals();
        return new RowPrompt(literals, Collections.nCopies(literals.size() - 1, textField), true);
    }

    /** @throws LlamafuException with INVALID_OPTION if the template has no field */
    static RowPrompt ofTemplate(String location, String template) {
        List<String> literals = new ArrayList<>();
        List<String> fields = new ArrayList<>();
        Matcher found = FIELD.matcher(template);
        int done = 0;
        while (found.find()) {
            literals.add(template.substring(done, found.start()));
            fields.add(found.group(1));
            done = found.end();
        }
        if (fields.isEmpty()) {
            throw LabelArguments.invalid(
                    "The template '%s' has no {FIELD}, so no row would reach its prompt.".formatted(location));
        }
        literals.add(template.substring(done));
        return new RowPrompt(literals, fields, false);
    }

    /** @throws LlamafuException with INVALID_REQUEST if a field has no value or all are empty, or the code of a malformed row */
    Prompt render(Row row) {
        List<String> texts = fields.stream()
                .map(field -> textOnly ? row.text(field) : row.scalar(field))
                .toList();
        PromptTemplate.requireText(texts);
        List<Part> parts = new ArrayList<>();
        parts.add(new Part(literals.get(0), true));
        for (int i = 0; i < fields.size(); i++) {
            parts.add(new Part(texts.get(i), false));
            parts.add(new Part(literals.get(i + 1), true));
        }
        return new Prompt(parts);
    }

    /** What people see of the row: its text, or the whole prompt if that has several fields. */
    String shown(Row row) {
        return textOnly ? row.text(fields.get(0)) : render(row).toString();
    }
}

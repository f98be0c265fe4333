package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
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
import java.util.stream.Collectors;

/**
 * A {@code prompt-template} with {@code {column}} placeholders. Braces in values are not replaced, nor are braces in
 * the template that contain no name, such as those of JSON.
 *
 * @param literals the texts around the values, one more than there are values
 * @param columns index of the column of each value
 */
record ColumnTemplate(List<String> literals, List<Integer> columns) implements Serializable {
    private static final Pattern BRACES = Pattern.compile("\\{([^{}]*)}");
    private static final Pattern NAME = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");

    /** Names the only column, whatever its name is. */
    private static final String TEXT = "text";

    ColumnTemplate {
        literals = List.copyOf(literals);
        columns = List.copyOf(columns);
    }

    /** The template of a function, which has one text and no columns: only {@code {text}} is a placeholder. */
    static ColumnTemplate of(PromptTemplate template) {
        List<String> literals = template.literals();
        return new ColumnTemplate(literals, Collections.nCopies(literals.size() - 1, 0));
    }

    /**
     * A template over named columns.
     *
     * @throws LlamafuException with INVALID_OPTION if a placeholder names no column, or a column has no placeholder
     */
    static ColumnTemplate of(String template, List<String> names) {
        List<String> literals = new ArrayList<>();
        List<Integer> columns = new ArrayList<>();
        Matcher braces = BRACES.matcher(template);
        StringBuilder literal = new StringBuilder();
        int done = 0;
        while (braces.find()) {
            literal.append(template, done, braces.start());
            done = braces.end();
            int column = indexOf(braces.group(1), names);
            if (column >= 0) {
                literals.add(literal.toString());
                columns.add(column);
                literal.setLength(0);
            } else if (NAME.matcher(braces.group(1)).matches()) {
                throw invalid(template, "names {%s}".formatted(braces.group(1)), names);
            } else {
                literal.append(braces.group());
            }
        }
        literals.add(literal.append(template, done, template.length()).toString());
        for (int column = 0; column < names.size(); column++) {
            if (!columns.contains(column)) {
                throw invalid(template, "lacks {%s}".formatted(names.get(column)), names);
            }
        }
        return new ColumnTemplate(literals, columns);
    }

    private static int indexOf(String name, List<String> names) {
        int index = names.indexOf(name);
        return index < 0 && names.size() == 1 && name.equals(TEXT) ? 0 : index;
    }

    private static LlamafuException invalid(String template, String what, List<String> names) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "prompt-template is '%s' and %s; the text columns of the input are %s, and each must be in it."
                        .formatted(
                                template,
                                what,
                                names.stream().map(name -> "{" + name + "}").collect(Collectors.joining(", "))));
    }

    /** The prompt of a row. Control strings of the template are control tokens, those in values are not. */
    Prompt render(List<String> values) {
        List<Part> parts = new ArrayList<>();
        parts.add(new Part(literals.get(0), true));
        for (int i = 0; i < columns.size(); i++) {
            parts.add(new Part(values.get(columns.get(i)), false));
            parts.add(new Part(literals.get(i + 1), true));
        }
        return new Prompt(parts);
    }
}

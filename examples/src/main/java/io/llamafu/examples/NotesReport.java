package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The answers to the notes by the stack that gave them.
 *
 * @param note one of the notes
 * @param missing answers that are missing, too many, errors, or by another stack than asked for
 */
record NotesReport(String note, List<Row> rows, int missing) implements ExampleReport {
    /** Two of the 3,000 answers of the file are near ties; see the README of the models. */
    private static final double MOST_NEAR_TIES = 0.03;

    /** What should come out, in the order of the questions. */
    record Expected(String note, AdapterStack stack, String answer) {}

    /**
     * A stack.
     *
     * @param exact notes with exactly the right answer
     * @param answer to the note of the report
     */
    record Row(String stack, int notes, int exact, String answer) {}

    static NotesReport of(List<Expected> expected, List<Answer> answers) {
        Map<AdapterStack, Row> rows = new LinkedHashMap<>();
        int missing = Math.abs(expected.size() - answers.size());
        for (int i = 0; i < Math.min(expected.size(), answers.size()); i++) {
            Expected asked = expected.get(i);
            Answer answer = answers.get(i);
            missing += answer.answeredBy(asked.stack()) ? 0 : 1;
            Row before = rows.getOrDefault(asked.stack(), new Row(asked.stack().toString(), 0, 0, answer.answer()));
            int exact = asked.answer().equals(answer.answer()) ? 1 : 0;
            rows.put(
                    asked.stack(),
                    new Row(before.stack(), before.notes() + 1, before.exact() + exact, before.answer()));
        }
        return new NotesReport(expected.get(0).note(), List.copyOf(rows.values()), missing);
    }

    @Override
    public boolean isSound() {
        return missing == 0
                && rows.stream().allMatch(row -> row.exact() >= Math.floor((1 - MOST_NEAR_TIES) * row.notes()));
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder("%s%n".formatted(note));
        for (Row row : rows) {
            String stack = row.stack().isEmpty() ? "(base model)" : row.stack();
            text.append("%-16s %2d of %d right   %s%n".formatted(stack, row.exact(), row.notes(), row.answer()));
        }
        return text.append(JsonLines.write(this)).toString();
    }
}

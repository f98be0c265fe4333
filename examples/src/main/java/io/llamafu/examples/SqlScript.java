package io.llamafu.examples;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A script for the SQL client with its expected output. A comment before a query, such as {@code -- expect: notes =
 * 250, exact >= 243}, applies to the last row of the table that the client prints for it; {@code rows} counts the rows.
 */
final class SqlScript {
    private static final Pattern EXPECT = Pattern.compile("^-- expect: (.*)$", Pattern.MULTILINE);
    private static final Pattern CHECK = Pattern.compile("(\\w+) (=|>=) (\\d+)");
    /** The client prints the first border of a table directly after the statement. */
    private static final Pattern BORDER = Pattern.compile("(\\+-+)+\\+$");

    private static final String ROWS = "rows";

    private SqlScript() {}

    /**
     * One comparison.
     *
     * @param table index of the printed table, from 0
     * @param column whose value is compared, or {@code rows}
     * @param atLeast whether a greater value is right too
     */
    record Check(int table, String column, boolean atLeast, long value) {
        @Override
        public String toString() {
            return "%s %s %d".formatted(column, atLeast ? ">=" : "=", value);
        }
    }

    /** A printed table, without the change column of streaming mode. */
    private record Table(List<String> columns, List<List<String>> rows) {}

    /** Replaces <code>${name}</code> by folders. */
    static String fillIn(String script, Map<String, Path> folders) {
        String filledIn = script;
        for (Map.Entry<String, Path> folder : folders.entrySet()) {
            filledIn = filledIn.replace(
                    "${" + folder.getKey() + "}", folder.getValue().toString());
        }
        return filledIn;
    }

    static List<Check> checks(String script) {
        List<Check> checks = new ArrayList<>();
        Matcher comments = EXPECT.matcher(script);
        for (int table = 0; comments.find(); table++) {
            for (String written : comments.group(1).split(",\\s*", -1)) {
                Matcher check = CHECK.matcher(written.strip());
                if (!check.matches()) {
                    throw new IllegalArgumentException("'%s' is no expectation.".formatted(written));
                }
                checks.add(
                        new Check(table, check.group(1), check.group(2).equals(">="), Long.parseLong(check.group(3))));
            }
        }
        return checks;
    }

    /** The differences from the expected output, in words. */
    static List<String> compare(List<Check> checks, String printed) {
        List<Table> tables = tables(printed);
        long expected = checks.stream().mapToInt(Check::table).distinct().count();
        if (tables.size() != expected) {
            return List.of("The client printed %d tables, but %d were expected.".formatted(tables.size(), expected));
        }
        List<String> failures = new ArrayList<>();
        for (Check check : checks) {
            Table table = tables.get(check.table());
            String actual = actual(table, check.column());
            if (!holds(check, actual)) {
                failures.add("Table %d: %s was expected, but it is %s.".formatted(check.table() + 1, check, actual));
            }
        }
        return failures;
    }

    private static String actual(Table table, String column) {
        if (column.equals(ROWS)) {
            return Integer.toString(table.rows().size());
        }
        int index = table.columns().indexOf(column);
        return index < 0 || table.rows().isEmpty()
                ? "absent"
                : table.rows().get(table.rows().size() - 1).get(index);
    }

    private static boolean holds(Check check, String actual) {
        if (!actual.matches("\\d+")) {
            return false;
        }
        long value = Long.parseLong(actual);
        return check.atLeast() ? value >= check.value() : value == check.value();
    }

    private static List<Table> tables(String printed) {
        List<Table> tables = new ArrayList<>();
        List<List<String>> rows = new ArrayList<>();
        int borders = 0;
        for (String line : printed.lines().toList()) {
            if (BORDER.matcher(line).find()) {
                borders++;
            } else if (line.startsWith("| ") && borders > 0) {
                rows.add(cells(line));
            } else if (borders > 0) {
                // Flink omits the last border of a table without rows.
                tables.add(table(rows));
                rows = new ArrayList<>();
                borders = 0;
            }
        }
        if (borders > 0) {
            tables.add(table(rows));
        }
        return tables;
    }

    private static Table table(List<List<String>> rows) {
        return new Table(rows.get(0), List.copyOf(rows.subList(1, rows.size())));
    }

    private static List<String> cells(String line) {
        return Arrays.stream(line.substring(1).split("\\|", -1))
                .map(String::strip)
                .toList();
    }
}

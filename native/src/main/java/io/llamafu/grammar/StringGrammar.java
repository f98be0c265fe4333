package io.llamafu.grammar;

import java.util.Optional;
import java.util.Set;

/** Writes grammars for JSON strings. */
final class StringGrammar {
    static final Set<String> FORMATS = Set.of("date", "time", "date-time", "uuid");

    private static final String QUOTE = "\"\\\"\"";

    private StringGrammar() {}

    /** Strings with a given range of lengths. A character is a code point, as in JSON Schema. */
    static String ofLength(GrammarRules rules, int least, Optional<Integer> most) {
        // no surrogates and nothing beyond Unicode, so answers are valid UTF-8
        rules.share("character", "[\\x20-\\x21\\x23-\\x5B\\x5D-\\uD7FF\\uE000-\\U0010FFFF] | \"\\\\\" escape");
        // \ud800 to \udfff are halves of a character
        rules.share(
                "escape",
                "[\\\"\\\\bfnrt] | \"u\" ([0-9A-CE-Fa-ce-f] [0-9A-Fa-f] | [Dd] [0-7]) [0-9A-Fa-f] [0-9A-Fa-f]");
        return "%s %s %s"
                .formatted(
                        QUOTE,
                        most.map(limit -> Gbnf.repeat("character", least, limit))
                                .orElseGet(() -> Gbnf.repeat("character", least)),
                        QUOTE);
    }

    /** Strings of one of the {@link #FORMATS}. */
    static String ofFormat(GrammarRules rules, String format) {
        switch (format) {
            case "date" -> shareDate(rules);
            case "time" -> shareTime(rules);
            case "date-time" -> {
                shareDate(rules);
                shareTime(rules);
                rules.share("date-time", "date \"T\" time");
            }
            case "uuid" ->
                rules.share(
                        "uuid", "[0-9a-f]{8} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{12}");
            default -> throw new IllegalArgumentException(format);
        }
        return "%s %s %s".formatted(QUOTE, format, QUOTE);
    }

    /** Dates of RFC 3339: days that exist in the month, 29 February in leap years only. */
    private static void shareDate(GrammarRules rules) {
        rules.share("date", "[0-9]{4} \"-\" month-day | leap-year \"-02-29\"");
        rules.share(
                "month-day",
                "(\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" [01])"
                        + " | (\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\")"
                        + " | \"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8])");
        rules.share("leap-year", "[0-9] [0-9] multiple-of-four | multiple-of-four \"00\"");
        rules.share("multiple-of-four", "\"0\" [48] | [2468] [048] | [13579] [26]");
    }

    /** Times of RFC 3339, without leap seconds; offsets are those in use, -12:00 to +14:00, and never -00:00. */
    private static void shareTime(GrammarRules rules) {
        rules.share(
                "time", "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,9})? offset");
        rules.share(
                "offset",
                "\"Z\" | \"+\" (\"0\" [0-9] \":\" [0-5] [0-9] | \"1\" [0-3] \":\" [0-5] [0-9] | \"14:00\")"
                        + " | \"-\" (\"0\" [1-9] \":\" [0-5] [0-9] | \"1\" [01] \":\" [0-5] [0-9] | \"12:00\")");
    }
}

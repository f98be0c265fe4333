package io.llamafu.grammar;

import java.util.List;

/** The subset of llama.cpp's grammar notation that this package writes. */
final class Gbnf {
    static final String DIGIT = "[0-9]";

    /** The most repetitions that llama.cpp counts; it silently ignores a higher limit. */
    static final int MAX_REPETITIONS = 2000;

    private Gbnf() {}

    /** Exactly this text, which must have no unpaired surrogate and no NUL. */
    static String literal(String text) {
        StringBuilder literal = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> literal.append("\\\"");
                case '\\' -> literal.append("\\\\");
                case '\n' -> literal.append("\\n");
                case '\r' -> literal.append("\\r");
                case '\t' -> literal.append("\\t");
                default -> literal.append(c < ' ' ? "\\x%02X".formatted((int) c) : String.valueOf(c));
            }
        }
        return literal.append('"').toString();
    }

    /** One of the alternatives, as a group. */
    static String choice(List<String> alternatives) {
        return alternatives.size() == 1 ? alternatives.get(0) : "(" + String.join(" | ", alternatives) + ")";
    }

    static String optional(String expression) {
        return "(" + expression + ")?";
    }

    /**
     * A repeated item: a character class or the name of a rule, because the content of a repeated group counts against
     * {@link #MAX_REPETITIONS} too.
     */
    static String repeat(String item, int least, int most) {
        return most == 0
                ? ""
                : least == most ? "%s{%d}".formatted(item, least) : "%s{%d,%d}".formatted(item, least, most);
    }

    /** An item repeated at least this often. */
    static String repeat(String item, int least) {
        return "%s{%d,}".formatted(item, least);
    }
}

package io.llamafu.grammar;

import java.util.List;

/** The notation of llama.cpp's grammars, as far as this package writes it. */
final class Gbnf {
    static final String DIGIT = "[0-9]";

    /** The most repetitions that llama.cpp counts; a higher limit would silently be none. */
    static final int MAX_REPETITIONS = 2000;

    private Gbnf() {}

    /** Exactly this text, which has no unpaired surrogate and no NUL. */
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

    /** One of these, as a unit. */
    static String choice(List<String> alternatives) {
        return alternatives.size() == 1 ? alternatives.get(0) : "(" + String.join(" | ", alternatives) + ")";
    }

    static String optional(String expression) {
        return "(" + expression + ")?";
    }

    /**
     * So many of an item, which must be a character class or the name of a rule: what a repeated group holds counts
     * against {@link #MAX_REPETITIONS} too.
     */
    static String repeat(String item, int least, int most) {
        return most == 0
                ? ""
                : least == most ? "%s{%d}".formatted(item, least) : "%s{%d,%d}".formatted(item, least, most);
    }

    /** So many of an item or more. */
    static String repeat(String item, int least) {
        return "%s{%d,}".formatted(item, least);
    }
}

package io.llamafu.flink.options;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.Internal;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The written form of an option that is a list of texts in which every character counts, such as stop strings. Flink's
 * own list options are parsed as YAML and trimmed: a line break would be lost, and {@code [INST]} would be the list of
 * {@code INST}.
 *
 * <p>Either a JSON array of strings, or texts separated by {@code ;}, each taken exactly. Input that earlier versions
 * read differently is rejected as ambiguous: a {@code [} that begins no such array, a quote before a text, blanks next
 * to a {@code ;}, an empty text.
 */
@Internal
public final class TextList {
    private static final String CURE = " Write a JSON array of strings, such as [\"\\nUser:\", \"[INST]\"].";

    private final String key;
    private final String written;
    private int position;

    private TextList(String key, String written) {
        this.key = key;
        this.written = written;
    }

    /**
     * Parses the written form.
     *
     * @param key of the option, for messages
     * @throws LlamafuException with INVALID_OPTION if the input is ambiguous
     */
    public static List<String> parse(String key, String written) {
        TextList list = new TextList(key, written);
        if (written.isEmpty()) {
            return List.of();
        }
        return List.copyOf(written.startsWith("[") ? list.array() : list.plain());
    }

    private List<String> plain() {
        List<String> texts = List.of(written.split(";", -1));
        for (String text : texts) {
            if (text.isEmpty()) {
                throw refused("has an empty text in it.");
            }
            if (texts.size() > 1 && (text.startsWith(" ") || text.endsWith(" "))) {
                throw refused("has a blank next to a ';', and whether it counts is not clear.");
            }
            if (text.length() > 1 && (text.startsWith("'") || text.startsWith("\""))) {
                throw refused("has a text that begins with a quote, and whether that counts is not clear.");
            }
        }
        return texts;
    }

    private List<String> array() {
        List<String> texts = new ArrayList<>();
        expect('[');
        if (!isNext(']')) {
            texts.add(string());
            while (isNext(',')) {
                position++;
                texts.add(string());
            }
        }
        expect(']');
        skipBlanks();
        if (position < written.length()) {
            throw noArray();
        }
        return texts;
    }

    private String string() {
        expect('"');
        StringBuilder text = new StringBuilder();
        for (char character = next(); character != '"'; character = next()) {
            text.append(character == '\\' ? escaped() : character);
        }
        return text.toString();
    }

    private char escaped() {
        char character = next();
        return switch (character) {
            case '"', '\\', '/' -> character;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> unicode();
            default -> throw noArray();
        };
    }

    private char unicode() {
        int code = 0;
        for (int digit = 0; digit < 4; digit++) {
            int value = Character.digit(next(), 16);
            if (value < 0) {
                throw noArray();
            }
            code = 16 * code + value;
        }
        return (char) code;
    }

    private void expect(char character) {
        if (!isNext(character)) {
            throw noArray();
        }
        position++;
    }

    private boolean isNext(char character) {
        skipBlanks();
        return position < written.length() && written.charAt(position) == character;
    }

    private void skipBlanks() {
        while (position < written.length() && " \t\r\n".indexOf(written.charAt(position)) >= 0) {
            position++;
        }
    }

    private char next() {
        if (position == written.length()) {
            throw noArray();
        }
        return written.charAt(position++);
    }

    private LlamafuException noArray() {
        return refused("begins with '[' but is no JSON array of strings.");
    }

    private LlamafuException refused(String why) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION, "%s is '%s', which %s%s".formatted(key, written, why, CURE));
    }

    /** The JSON array, from which {@link #parse} returns the same texts. */
    public static String format(List<String> texts) {
        StringBuilder array = new StringBuilder("[");
        for (String text : texts) {
            array.append(array.length() == 1 ? "\"" : ", \"");
            text.chars().forEach(character -> append(array, (char) character));
            array.append('"');
        }
        return array.append(']').toString();
    }

    private static void append(StringBuilder array, char character) {
        if (character == '"' || character == '\\') {
            array.append('\\').append(character);
        } else if (character < ' ' || Character.isSurrogate(character)) {
            array.append("\\u").append(String.format(Locale.ROOT, "%04x", (int) character));
        } else {
            array.append(character);
        }
    }
}

package io.llamafu.peft;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * PEFT's {@code rank_pattern} and {@code alpha_pattern}: numbers for modules by the end of their path. The first match
 * applies. PEFT interprets them as regular expressions; here they are plain names, or whole paths after {@code ^},
 * which is what PEFT and its tools write. An untrusted expression could take forever.
 */
final class ModulePatterns {
    private static final Pattern PLAIN = Pattern.compile("\\^?[A-Za-z0-9_]+(?:\\.[A-Za-z0-9_]+){0,32}");

    /** A number, and the position of its pattern. */
    private record Ranked(int place, double value) {}

    private final Map<String, Ranked> byPattern = new LinkedHashMap<>();

    static boolean isPlain(String pattern) {
        return PLAIN.matcher(pattern).matches();
    }

    void add(String pattern, double value) {
        byPattern.put(pattern, new Ranked(byPattern.size(), value));
    }

    boolean isEmpty() {
        return byPattern.isEmpty();
    }

    /** The number for the module at this path, if any. */
    Optional<Double> find(String path) {
        Ranked first = byPattern.get("^" + path);
        int start = 0;
        while (start >= 0) {
            first = earlier(first, byPattern.get(path.substring(start)));
            int dot = path.indexOf('.', start);
            start = dot < 0 ? -1 : dot + 1;
        }
        return Optional.ofNullable(first).map(Ranked::value);
    }

    private static Ranked earlier(Ranked first, Ranked other) {
        return first == null || (other != null && other.place() < first.place()) ? other : first;
    }
}
